-- In which transaction each search document was changed last. Who keeps an outline of a large diary
-- reads what changed since by it: everything that was not decided yet when the outline was begun has
-- this number or a higher one. What is there already keeps 0, which spares writing the table anew.
-- After a restore into another server numbers may be ahead of its own; whoever reads takes those
-- for old, which they are.

alter table diary.search_document add column changed_in xid8 not null default '0';
alter table diary.search_document alter column changed_in set default pg_current_xact_id();

create or replace function diary.renew_revision() returns trigger
language plpgsql
as $$
begin
    new.revision := uuid_hash_extended(gen_random_uuid(), 0);
    new.changed_in := pg_current_xact_id();
    return new;
end;
$$;
