-- An expiry is carried out on the share's row, and can be taken back: a clock may have been wrong.
-- Who may read is decided by `expires_at` at every moment; `expired` says whether the relation tuple
-- is to go, so that what the rows want does not depend on when it is read.

alter table diary.share add column expired boolean not null default false;

-- The runner applies each file in one transaction, so nothing can be done concurrently; it is small.
-- squawk-ignore require-concurrent-index-deletion
drop index diary.share_by_expiry;
create index share_to_expire on diary.share (expires_at)
where expires_at is not null and not expired;
create index share_expired on diary.share (expires_at) where expired;

create or replace function diary.audit_share() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' then
        -- What has expired was told when it did.
        if not old.expired then
            insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
            values (
                case
                    when not exists (select from diary.entry as e where e.id = old.entry_id)
                        then 'share_deleted_with_entry'
                    when old.expires_at <= clock_timestamp() then 'share_expired'
                    else 'unshared'
                end,
                old.granted_by, old.entry_id, old.grantee, old.expires_at
            );
        end if;
    else
        insert into diary.audit_event (event, agent, entry_id, grantee, expires_at)
        values (
            case when new.expired then 'share_expired' else 'shared' end,
            new.granted_by, new.entry_id, new.grantee, new.expires_at
        );
    end if;
    return null;
end;
$$;
