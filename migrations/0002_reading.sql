-- Functions that the reading statements share.

-- Every filter that is given holds. Simple enough for the planner to inline.
create function diary.matches(
    entry diary.entry,
    types text [],
    all_tags text [],
    any_tags text [],
    exclude_tags text [],
    author text,
    since timestamptz,
    until timestamptz,
    min_importance double precision
) returns boolean
language sql stable parallel safe
return
    (types is null or entry.type = any(types))
    and (all_tags is null or entry.tags @> all_tags)
    and (any_tags is null or entry.tags && any_tags)
    and (exclude_tags is null or not entry.tags && exclude_tags)
    and (matches.author is null or entry.author = matches.author)
    and (since is null or entry.date >= since)
    and (until is null or entry.date <= until)
    and (min_importance is null or entry.importance >= min_importance);

-- How an entry looks to one reader: a neighbour that the reader may not see is not named.
create function diary.reader_view(
    entry_id uuid, owner text, supersedes uuid, caller text, grantees text []
) returns table (role text, sharing text, supersedes uuid, superseded_by uuid)
language sql stable parallel safe
begin atomic
select
    case when reader_view.owner = caller then 'owner' else 'viewer' end,
    case
        when permission.applied_generation < permission.generation then 'pending' else 'settled'
    end,
    (
        select older.id
        from diary.entry as older
        where
            older.id = reader_view.supersedes
            and (
                older.owner = caller
                or exists (
                    select
                    from diary.share as s
                    where
                        s.entry_id = older.id
                        and s.grantee = any(grantees)
                        and (s.expires_at is null or s.expires_at > clock_timestamp())
                )
            )
    ),
    (
        select newer.id
        from diary.entry as newer
        where
            newer.supersedes = reader_view.entry_id
            and (
                newer.owner = caller
                or exists (
                    select
                    from diary.share as s
                    where
                        s.entry_id = newer.id
                        and s.grantee = any(grantees)
                        and (s.expires_at is null or s.expires_at > clock_timestamp())
                )
            )
    )
from diary.entry_permission as permission
where permission.entry_id = reader_view.entry_id;
end;
