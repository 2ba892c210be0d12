-- name: lock_relations
-- Held to the end of the transaction. The keys come sorted, so that two batches cannot wait for
-- each other in a circle.
select pg_advisory_xact_lock(key)
from unnest(%(keys)s::bigint []) as key

-- name: check_transaction
-- Fails where the transaction, and with it its locks, is gone.
select 1

-- name: read_wanted
-- One statement, hence one snapshot: the generations belong to exactly these shares. Taken after
-- the lock, so it is no older than what the previous settling wrote. Rows alone and no clock: that
-- a share has expired is a change of its row like any other, which the sweep makes.
select
    permission.entry_id,
    permission.generation,
    permission.deleted_at is null as live,
    permission.owner,
    array(
        select s.grantee
        from diary.share as s
        where
            s.entry_id = permission.entry_id
            and not s.expired
            and (
                exists (select from diary.agent as a where a.name = s.grantee)
                or exists (
                    select from diary.agent_group as g where 'group:' || g.name = s.grantee
                )
            )
    ) as grantees
from diary.entry_permission as permission
where permission.entry_id = any(%(entry_ids)s)

-- name: mark_applied
-- Never back to an older generation; what is right already is not written again. Gives how many
-- seconds ago each entry was changed last.
update diary.entry_permission as permission
set
    applied_generation = greatest(permission.applied_generation, settled.generation),
    refusal = null
from unnest(%(entry_ids)s::uuid [], %(generations)s::bigint []) as settled (entry_id, generation)
where
    permission.entry_id = settled.entry_id
    and (
        permission.applied_generation < settled.generation
        or permission.refusal is not null
    )
returning extract(epoch from clock_timestamp() - permission.changed_at)::double precision

-- name: remove_tombstones
-- The permission backend has forgotten these entries; now so do we.
delete from diary.entry_permission
where
    entry_id = any(%(entry_ids)s)
    and deleted_at is not null
    and applied_generation >= generation

-- name: mark_refused
-- The time lets the sweep try a refused entry again, but not soon.
update diary.entry_permission
set refusal = %(reason)s, changed_at = clock_timestamp()
where entry_id = any(%(entry_ids)s)

-- name: list_unsettled
-- Entries that the permission backend does not agree with or has refused, in the order of their
-- ids.
select permission.entry_id
from diary.entry_permission as permission
where
    (permission.applied_generation < permission.generation or permission.refusal is not null)
    and (%(after)s::uuid is null or permission.entry_id > %(after)s)
order by permission.entry_id
limit %(limit)s

-- name: list_overdue
-- What has waited for so long, and what a clock that was set back has left in the future.
select permission.entry_id
from diary.entry_permission as permission
where
    permission.applied_generation < permission.generation
    and permission.refusal is null
    and (
        permission.changed_at < statement_timestamp() - %(overdue)s::interval
        or permission.changed_at > statement_timestamp()
    )
order by random()
limit %(limit)s

-- name: count_backlog
-- What the permission backend does not agree with yet, and what it has refused.
select
    (
        select count(*)
        from diary.entry_permission as permission
        where permission.applied_generation < permission.generation and permission.refusal is null
    )::integer as pending,
    coalesce(
        (
            -- A clock that was set back has left changes of the future, which wait as well.
            select max(greatest(now() - permission.changed_at, permission.changed_at - now()))
            from diary.entry_permission as permission
            where
                permission.applied_generation < permission.generation
                and permission.refusal is null
        ),
        interval '0'
    ) as longest_wait,
    (
        select count(*)
        from diary.entry_permission as permission
        where permission.refusal is not null
    )::integer as refused

-- name: get_identity
select identity.id
from diary.identity
