-- name: limit_waiting
set lock_timeout = '30s'

-- name: take_number
select pg_current_xact_id()::xid

-- Transactions to which rows may still be visible that were deleted before `number` was taken.
-- name: count_older
select count(*)
from pg_stat_activity
where
    datname = current_database()
    and pid <> pg_backend_pid()
    and (age(backend_xmin) >= age(%(number)s::xid) or age(backend_xid) >= age(%(number)s::xid))

-- Who stands by waits for a lock in one statement after another, and keeps a snapshot in each.
-- name: wake_standby
select pg_cancel_backend(pid)
from pg_stat_activity
where
    datname = current_database()
    and application_name = %(standby)s
    and wait_event_type = 'Lock'

-- Every table, its TOAST table, its indexes and its statistics, each in a file of its own that is
-- new. Plain vacuum leaves what was deleted in the gaps of a page.
-- name: rewrite_tables
vacuum (full, analyze)

-- Analysis passes over an empty table, and leaves what it said of the rows that were there.
-- name: forget_statistics
delete from pg_statistic as statistic
using pg_class as counted
where counted.oid = statistic.starelid and counted.reltuples <= 0

-- What was said of each table before its analysis.
-- name: rewrite_statistics
vacuum (full) pg_statistic

-- Segments of the write-ahead log are let go of by the second checkpoint after the last record in
-- them, and removed, since `wal_recycle` is off.
-- name: end_segment
select pg_switch_wal()

-- name: let_go_of_segments
checkpoint
