-- Every state of a search document has a number of its own, drawn at random. How many an owner has,
-- and the numbers of all of them by xor, tell whether anything changed since a process read them.
-- What is there already keeps 0 until it changes, which spares writing the table anew: of those,
-- there are only ever fewer.

alter table diary.search_document add column revision bigint not null default 0;
alter table diary.search_document
alter column revision set default uuid_hash_extended(gen_random_uuid(), 0);

create index search_document_by_owner_and_revision on diary.search_document (owner)
include (entry_id, revision);
-- squawk-ignore require-concurrent-index-deletion
drop index diary.search_document_by_owner;

-- That index is read without the table, which needs to know which pages all can see.
alter table diary.search_document set (
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05
);

create function diary.renew_revision() returns trigger
language plpgsql
as $$
begin
    new.revision := uuid_hash_extended(gen_random_uuid(), 0);
    return new;
end;
$$;
create trigger search_document_is_renewed
before update on diary.search_document
for each row execute function diary.renew_revision();

-- What search reads of the entry itself; its text changes with the document's version.
create function diary.renew_document() returns trigger
language plpgsql
as $$
begin
    update diary.search_document set owner = new.owner where entry_id = new.id;
    return null;
end;
$$;
create trigger entry_renews_its_document
after update of author, session, date, created_at on diary.entry
for each row
when (
    old.author is distinct from new.author
    or old.session is distinct from new.session
    or old.date is distinct from new.date
    or old.created_at is distinct from new.created_at
)
execute function diary.renew_document();
