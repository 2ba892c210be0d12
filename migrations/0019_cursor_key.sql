-- What cursors are signed with: the same for every process and after every restart, and in no answer.

alter table diary.identity
add column cursor_key bytea not null
-- It has one row.
-- squawk-ignore adding-field-with-default
default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
