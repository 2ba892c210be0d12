-- What of others an agent may be able to read: active shares, and roles on diaries, that name it or any
-- group. Who asks for more than the caller's own asks first whether there is anything.

create function diary.reach_of(agent text) returns table (grantee text)
language sql stable parallel safe
begin atomic
select s.grantee
from diary.active_entry_share as s
where s.grantee = reach_of.agent
union all
select s.grantee
from diary.active_entry_share as s
where starts_with(s.grantee, 'group:')
union all
select r.grantee
from diary.active_role as r
where r.grantee = reach_of.agent
union all
select r.grantee
from diary.active_role as r
where starts_with(r.grantee, 'group:');
end;
