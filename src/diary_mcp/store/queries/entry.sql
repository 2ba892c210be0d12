-- name: insert_entry
-- A new entry, its owner if it is the owner's first call, and the state of its permissions.
with owner as (
    insert into diary.agent (name) values (%(owner)s)
    on conflict on constraint agent_pkey do nothing
),
permission as (
    insert into diary.entry_permission (entry_id, owner) values (%(id)s, %(owner)s)
),
placed as (
    select coalesce(
        %(diary_id)s,
        (select d.id from diary.diary as d where d.owner = %(owner)s and d.name = 'main')
    ) as diary_id
),
document as (
    insert into diary.search_document (entry_id, owner, diary_id)
    select %(id)s, %(owner)s, placed.diary_id from placed
)
insert into diary.entry (
    id, key, owner, author, session, type, title, content, tags, importance, source_keys,
    source_hash, front_matter, version, date, created_at, updated_at, content_hash,
    wants_signature, imported_version, source_path, diary_id
)
values (
    %(id)s, %(key)s, %(owner)s, %(author)s, %(session)s, %(type)s, %(title)s, %(content)s,
    %(tags)s, %(importance)s, %(source_keys)s, %(source_hash)s, %(front_matter)s,
    %(version)s, %(date)s, %(created_at)s, %(updated_at)s, %(content_hash)s,
    %(wants_signature)s, %(imported_version)s, %(source_path)s,
    (select placed.diary_id from placed)
)
returning id

-- name: link_waiting_source
-- The first imported entry that waits for this key supersedes the new entry, unless the new entry
-- supersedes it already, at whatever distance.
with recursive superseded as (
    select e.id
    from diary.entry as e
    where e.id = %(id)s
    union
    select older.id
    from superseded
    inner join diary.entry as older on older.superseded_by = superseded.id
),
waiting as (
    select first.id
    from diary.entry as first
    where
        first.owner = %(owner)s
        and first.source_keys @> array[%(key)s]
        and first.id not in (select superseded.id from superseded)
    order by first.date, first.key
    limit 1
)
update diary.entry as e
set superseded_by = waiting.id
from waiting
where e.id = %(id)s
returning waiting.id

-- name: supersede
-- The older entries become superseded by the newer one; only those that nothing supersedes, and
-- that do not supersede the newer one themselves, are returned.
with recursive later as (
    select e.id, e.superseded_by
    from diary.entry as e
    where e.id = %(newer)s
    union
    select e.id, e.superseded_by
    from later
    inner join diary.entry as e on e.id = later.superseded_by
),
held as materialized (
    select e.id
    from diary.entry as e
    where e.id = any(%(older)s::uuid [])
    order by e.id
    for no key update
)
update diary.entry as e
set superseded_by = %(newer)s
from held
where
    e.id = held.id
    and e.superseded_by is null
    and e.id not in (select later.id from later)
returning e.id

-- name: keep_version
-- What an entry was before its update goes into the history.
insert into diary.entry_version (
    entry_id, version, type, title, content, tags, importance, content_hash, updated_at, author,
    session, date
)
values (
    %(id)s, %(version)s, %(type)s, %(title)s, %(content)s, %(tags)s, %(importance)s,
    %(content_hash)s, %(updated_at)s, %(author)s, %(session)s, %(date)s
)

-- name: update_entry
-- The entry, and that its index is outdated; no row where another change was first.
with revised as (
    update diary.entry
    set
        type = %(type)s,
        title = %(title)s,
        content = %(content)s,
        tags = %(tags)s,
        importance = %(importance)s,
        version = %(version)s,
        updated_at = %(updated_at)s,
        content_hash = %(content_hash)s,
        wants_signature = %(wants_signature)s
    where id = %(id)s and version = %(previous_version)s
    returning id, version
)
update diary.search_document as document
set version = revised.version, words_by = null, vectors_by = null
from revised
where document.entry_id = revised.id
returning true

-- name: move_entry
-- Into a diary, or into its owner's `main`.
update diary.entry
set diary_id = coalesce(
    %(diary_id)s,
    (select d.id from diary.diary as d where d.owner = entry.owner and d.name = 'main')
)
where id = %(id)s

-- name: part_entries
-- Of two owners' entries none supersedes the other any more that lies in another diary now.
update diary.entry as older
set superseded_by = null
from diary.entry as newer
where
    newer.id = older.superseded_by
    and newer.owner <> older.owner
    and older.id in (
        select e.id from diary.entry as e where e.id = %(id)s
        union all
        select e.id from diary.entry as e where e.superseded_by = %(id)s
    )
    and coalesce(
        older.diary_id,
        (select d.id from diary.diary as d where d.owner = older.owner and d.name = 'main')
    ) is distinct from coalesce(
        newer.diary_id,
        (select d.id from diary.diary as d where d.owner = newer.owner and d.name = 'main')
    )

-- name: would_leave_superseded
-- Whether what the entry supersedes of another owner is in its diary, and would not be in the next.
select exists (
    select
    from diary.entry as e
    inner join diary.entry as older on older.superseded_by = e.id
    where
        e.id = %(id)s
        and older.owner <> e.owner
        and older.diary_id = e.diary_id
        and older.diary_id is distinct from coalesce(
            %(diary_id)s::uuid,
            (select d.id from diary.diary as d where d.owner = e.owner and d.name = 'main')
        )
)

-- name: delete_entry
delete from diary.entry
where id = %(id)s

-- name: bury_entry
-- Ids only: what is left until the permission backend has forgotten the entry too. Its links stay,
-- and can tell nothing of it without their salts.
with forgotten as (
    update diary.link
    set salt = null
    where
        owner = (select p.owner from diary.entry_permission as p where p.entry_id = %(id)s)
        and entry_id = %(id)s
),
asked as (
    delete from diary.signature_request
    where subject = %(id)s::text
)
update diary.entry_permission
set deleted_at = clock_timestamp()
where entry_id = %(id)s

-- name: raise_generation
update diary.entry_permission
set generation = generation + 1, changed_at = clock_timestamp(), refusal = null
where entry_id = %(id)s and owner = %(owner)s and deleted_at is null
returning generation

-- name: find_entry
-- By id, or by a key of the reader's own, the first of several forms of it that is there.
select
    e.id, e.key, e.owner, e.author, e.session, e.type, e.title, e.content, e.tags, e.importance,
    visible.supersedes, visible.superseded_by, e.version, e.date, e.created_at, e.updated_at,
    e.content_hash, visible.role, visible.sharing, signed.signature, placed.diary
from diary.entry as e
-- include: seen_by_the_caller
where
    (e.id = %(id)s or (e.owner = %(caller)s and e.key = any(%(keys)s::text [])))
    and -- include: is_readable
order by (e.id = %(id)s) desc nulls last, array_position(%(keys)s::text [], e.key)
limit 1

-- name: was_owned_by
-- The tombstone of a deleted entry, until the permission backend has forgotten it too.
select exists (
    select
    from diary.entry_permission as permission
    where
        permission.entry_id = %(id)s
        and permission.owner = %(owner)s
        and permission.deleted_at is not null
)

-- name: list_entries
-- One page: what the reader owns, and what is shared with it, each by its own index. Where a diary is
-- named that is open as a whole, what others wrote there comes in the order of its dates.
with whole as materialized (
    select d.id
    from diary.diary as d
    where
        d.id = %(diary)s
        and %(main_of)s::text is null
        and -- include: is_open_as_a_whole
),
candidate as (
    (
        select e.id, e.date
        from diary.entry as e
        where
            %(mine)s
            and e.owner = %(caller)s
            and -- include: passes_filters
            and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
            and (
                %(include_superseded)s
                or e.superseded_by is null
                or not exists (
                    select
                    from diary.newer_seen_by(
                        e.superseded_by, %(diary)s, %(caller)s, %(grantees)s
                    )
                )
            )
            and -- include: comes_after
        order by e.date desc, e.id
        limit %(limit)s
    )
    union
    (
        select e.id, e.date
        from diary.entry as e
        where
            %(shared)s
            and not exists (select from whole)
            and e.id in (
                select s.entry_id
                from diary.active_share as s
                where
                    s.grantee = any(%(grantees)s)
            )
            and e.owner <> %(caller)s
            and -- include: passes_filters
            and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
            and (
                %(include_superseded)s
                or not exists (
                    select
                    from diary.active_share as s
                    where s.entry_id = e.superseded_by and s.grantee = any(%(grantees)s)
                )
            )
            and -- include: comes_after
        order by e.date desc, e.id
        limit %(limit)s
    )
    union
    (
        select e.id, e.date
        from diary.entry as e
        where
            %(shared)s
            and exists (select from whole)
            and e.diary_id = %(diary)s
            and e.owner <> %(caller)s
            and -- include: passes_filters
            and (
                %(include_superseded)s
                or not exists (
                    select
                    from diary.active_share as s
                    where s.entry_id = e.superseded_by and s.grantee = any(%(grantees)s)
                    -- Of each of these few entries, and not of all that is open to the reader.
                    offset 0
                )
            )
            and -- include: comes_after
        order by e.date desc, e.id
        limit %(limit)s
    )
)
select
    -- include: listed_columns
from candidate
inner join diary.entry as e on e.id = candidate.id
-- include: seen_by_the_caller
order by e.date desc, e.id
limit %(limit)s

-- name: list_own_entries
-- The same of all that the reader owns, superseded or not, which PostgreSQL plans in a fraction of
-- the time.
select
    -- include: listed_columns
from (
    select e.id
    from diary.entry as e
    where
        e.owner = %(caller)s
        and -- include: passes_filters
        and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
        and -- include: comes_after
    order by e.date desc, e.id
    limit %(limit)s
) as candidate
inner join diary.entry as e on e.id = candidate.id
-- include: seen_by_the_caller
order by e.date desc, e.id

-- name: list_tags
-- The owner's tags with counts, the most used first.
select
    tag.name as tag,
    count(*)::integer as count,
    bool_or(e.owner <> %(owner)s) as is_others
from diary.entry as e
cross join lateral unnest(e.tags) as tag (name)
where e.owner = %(owner)s and starts_with(tag.name, %(prefix)s)
group by tag.name
order by count(*) desc, tag.name
limit %(limit)s

-- name: count_entries
-- The caller's entries, and how many of them it shares at present.
select
    (
        select count(*)
        from diary.entry as e
        where
            e.owner = %(caller)s
            and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    )::integer as entries,
    (
        select count(distinct s.entry_id)
        from diary.active_entry_share as s
        inner join diary.entry as e on e.id = s.entry_id
        where
            s.granted_by = %(caller)s
            and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    )::integer as shared
