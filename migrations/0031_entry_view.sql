-- What others see of an entry is asked by itself, and so is planned only where there is something to
-- ask it of: most entries are their reader's own, and supersede nothing.
create or replace function diary.entry_view(
    entry_id uuid, owner text, superseded_by uuid, caller text, grantees text []
) returns table (role text, sharing text, supersedes uuid [], superseded_by uuid)
language sql stable parallel safe
begin atomic
select
    case when entry_view.owner = caller then 'owner' else 'viewer' end,
    case
        when permission.applied_generation < permission.generation then 'pending' else 'settled'
    end,
    array(
        select older.id
        from diary.entry as older
        where
            older.superseded_by = entry_view.entry_id
            and (older.owner = caller or diary.is_open_to(older.id, grantees))
        order by older.id
    ),
    (
        select newer.id
        from diary.entry as newer
        where
            newer.id = entry_view.superseded_by
            and (newer.owner = caller or diary.is_open_to(newer.id, grantees))
    )
from diary.entry_permission as permission
where permission.entry_id = entry_view.entry_id;
end;
