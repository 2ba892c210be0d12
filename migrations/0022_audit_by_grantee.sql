-- What an agent was given is looked up like what it gave, and not in all of the trail.
create index audit_event_by_grantee on diary.audit_event (grantee, id) where grantee is not null;
