-- name: listen
-- See migrations/0006_announcements.sql for what is announced.
listen diary_entry

-- name: ask
-- Whether PostgreSQL is still there.
select 1
