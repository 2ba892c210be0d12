-- name: listen
-- See migrations/0011_announcements.sql for what is announced.
listen diary_entry
