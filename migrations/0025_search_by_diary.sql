-- A diary that is searched whole is known by two numbers, as what an agent owns is: each document
-- knows the diary that its entry is in. Null is a `main` of which nobody else knows.

alter table diary.search_document add column diary_id uuid;

create function diary.place_document() returns trigger
language plpgsql
as $$
begin
    update diary.search_document as document
    set diary_id = new.diary_id
    where document.entry_id = new.id and document.diary_id is distinct from new.diary_id;
    return null;
end;
$$;
create trigger move_is_searched
after update of diary_id on diary.entry
for each row
when (old.diary_id is distinct from new.diary_id)
execute function diary.place_document();
-- The release before says nothing of it as it writes an entry.
create trigger placed_entry_is_searched
after insert on diary.entry
for each row
when (new.diary_id is not null)
execute function diary.place_document();

-- Whose entries are in a diary, without reading each.
create function diary.writers_in(diary uuid) returns table (owner text)
language sql stable parallel safe
begin atomic
with recursive writer as (
    (
        select d.owner from diary.search_document as d
        where d.diary_id = writers_in.diary
        order by d.owner
        limit 1
    )
    union all
    select next.owner
    from writer
    cross join lateral (
        select d.owner from diary.search_document as d
        where d.diary_id = writers_in.diary and d.owner > writer.owner
        order by d.owner
        limit 1
    ) as next
)
select writer.owner from writer;
end;

-- By itself, so that what asks it of few entries, or of none, is planned without all that it is
-- made of.
create function diary.is_open_to(entry uuid, grantees text []) returns boolean
language sql stable parallel safe
begin atomic
select exists (
    select
    from diary.active_share as s
    where s.entry_id = is_open_to.entry and s.grantee = any(grantees)
);
end;

create or replace function diary.newer_seen_by(
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
        or diary.is_open_to(newer.id, grantees)
    );
end;
