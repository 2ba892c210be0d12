-- What a role may do that serves the diary and owns nothing of it. Whoever migrates calls this once
-- for the role; what later migrations make is granted to it as it is made.

create function diary.let_serve(serving name) returns void
language plpgsql
as $$
begin
    execute format('grant usage on schema public, diary, dbos to %I', serving);
    execute format(
        'grant select, insert, update, delete on all tables in schema diary, dbos to %I', serving
    );
    -- What has happened is read and added to.
    execute format('revoke update, delete, truncate on diary.audit_event from %I', serving);
    execute format('revoke insert, update, delete, truncate on dbos.dbos_migrations from %I', serving);
    execute format('grant select on public.diary_migration to %I', serving);
    execute format('grant usage on all sequences in schema diary, dbos to %I', serving);
    execute format('grant execute on all functions in schema diary, dbos to %I', serving);
    execute format(
        'alter default privileges in schema diary, dbos'
        ' grant select, insert, update, delete on tables to %I',
        serving
    );
    execute format(
        'alter default privileges in schema diary, dbos grant usage on sequences to %I', serving
    );
    execute format('grant temporary on database %I to %I', current_database(), serving);
    -- To count the queue; before PostgreSQL 17 only an owner can.
    if current_setting('server_version_num')::integer >= 170000 then
        execute format('grant maintain on dbos.workflow_status to %I', serving);
    end if;
end;
$$;
