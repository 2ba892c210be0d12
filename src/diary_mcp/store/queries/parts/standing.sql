-- Whether an entry `e` passes the filters, and what supersedes it, where that is no hit then; of those
-- alone that are where it is searched.
cross join lateral (
    select
        diary.matches(e, %(types)s, %(tags)s, %(any_tags)s, %(exclude_tags)s, %(author)s, %(since)s, %(until)s, %(min_importance)s)
        and (%(session)s::text is null or e.session = %(session)s) as matching,
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
    case
        when %(whole)s::uuid is null
            then
                e.owner = %(caller)s
                and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
        else e.diary_id = %(whole)s
    end
