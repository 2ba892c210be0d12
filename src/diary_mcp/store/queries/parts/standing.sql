-- Whether an entry `e` passes the filters, and what supersedes it, where that is no hit then; of those
-- alone that are where it is searched.
cross join lateral (
    select
        -- include: passes_filters
        as matching,
        case
            when
                not %(include_superseded)s
                and e.superseded_by is not null
                and exists (
                    select
                    from diary.newer_seen_by(e.superseded_by, %(diary)s, %(caller)s, %(grantees)s)
                )
                then e.superseded_by
        end as superseded_by
) as standing
where
    -- include: is_where_searched
