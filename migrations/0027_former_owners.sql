-- What a diary brings along from a former owner when it is handed over: its name, and of each role
-- who gave it and wrote its note. Null: the owner.
alter table diary.diary add column named_by text;
alter table diary.diary_role add column given_by text;

create or replace view diary.active_role
with (security_invoker = true)
as
select
    r.diary_id, r.grantee, r.role, r.granted_by, r.created_at, r.expires_at, r.note, r.given_by
from diary.diary_role as r
where diary.is_active(r.expires_at);
