-- What supersedes an entry, where that is the caller's own, in the diary that is read, or open to the
-- caller by a share or a role. An entry is outdated for nobody who may not see what took its place.
create function diary.newer_seen_by(
    superseded_by uuid, diary uuid, caller text, grantees text []
) returns table (id uuid, date timestamptz)
language sql stable parallel safe
begin atomic
select newer.id, newer.date
from diary.entry as newer
where
    newer.id = newer_seen_by.superseded_by
    and (
        newer.owner = caller
        or newer.diary_id = newer_seen_by.diary
        or exists (
            select
            from diary.active_share as s
            where s.entry_id = newer.id and s.grantee = any(grantees)
        )
    );
end;
