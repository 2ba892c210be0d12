-- What others share within the scope, in packed columns, with how each entry stands.
select
    coalesce(string_agg(uuid_send(candidate.id), ''), '') as ids,
    coalesce(string_agg(int8send(candidate.revision), ''), '') as revisions,
    coalesce(string_agg(boolsend(candidate.matching and candidate.superseded_by is null), ''), '') as eligible,
    coalesce(string_agg(uuid_send(
        coalesce(candidate.superseded_by, '00000000-0000-0000-0000-000000000000')
    ), ''), '') as superseded_by,
    coalesce(string_agg(boolsend(candidate.named), ''), '') as named,
    coalesce(string_agg(uuid_send(candidate.diary), ''), '') as diaries,
    coalesce(string_agg(boolsend(candidate.in_own), ''), '') as in_own
from (
    select
        e.id,
        document.revision,
        -- include: passes_filters
        as matching,
        case
            when
                not %(include_superseded)s
                and e.superseded_by is not null
                and diary.is_open_to(e.superseded_by, %(grantees)s)
                then e.superseded_by
        end as superseded_by,
        coalesce(e.key = any(%(names)s::text []), false) as named,
        coalesce(d.id, '00000000-0000-0000-0000-000000000000') as diary,
        coalesce(d.owner = %(caller)s, false) as in_own
    from diary.entry as e
    inner join diary.search_document as document on document.entry_id = e.id
    left join diary.diary as d
        on
            d.id = coalesce(
                e.diary_id,
                (
                    select main.id from diary.diary as main
                    where main.owner = e.owner and main.name = 'main'
                )
            )
    where
        %(shared)s
        and e.owner <> %(caller)s
        and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
        and e.id in (
            -- All that is in diaries of one's own would be gone through, for what others wrote there.
            select s.entry_id
            from diary.active_share as s
            where s.grantee = any(%(grantees)s) and s.granted_by <> %(caller)s
            union all
            select written.entry_id
            from diary.diary as own
            cross join lateral diary.writers_in(own.id) as writer
            inner join diary.search_document as written
                on written.diary_id = own.id and written.owner = writer.owner
            where own.owner = %(caller)s and writer.owner <> %(caller)s
        )
) as candidate
