-- name: listen
-- See migrations/0006_announcements.sql and 0023_lists.sql for what is announced.
listen diary_reader;
listen diary_entry

-- name: ask
-- Whether PostgreSQL is still there.
select 1
