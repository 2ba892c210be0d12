-- What cursors are signed with: the same for every process and after every restart, and in no answer.

-- It has one row.
alter table diary.identity
-- squawk-ignore adding-field-with-default
add column cursor_key bytea not null
default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
