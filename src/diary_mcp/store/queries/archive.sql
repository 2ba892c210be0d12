-- name: find_stored
-- An owner's entries by key or id; keyless ones also by the hash of what was imported.
with found as (
    select e.id
    from diary.entry as e
    where e.owner = %(owner)s and e.key = any(%(keys)s::text [])
    union
    select e.id
    from diary.entry as e
    where e.owner = %(owner)s and e.id = any(%(ids)s::uuid [])
    union
    select e.id
    from diary.entry as e
    where e.owner = %(owner)s and e.key is null and e.source_hash = any(%(hashes)s::text [])
)
select
    -- include: stored_columns
from found
inner join diary.entry as e on e.id = found.id
-- include: stored_beside

-- name: find_taken_ids
-- Tombstones count: the id of an entry that was deleted a moment ago is not free yet.
select p.entry_id
from diary.entry_permission as p
where p.entry_id = any(%(ids)s::uuid [])

-- name: list_stored
-- One page of an owner's entries, whole.
select
    -- include: stored_columns
from diary.entry as e
-- include: stored_beside
where
    e.owner = %(owner)s
    and -- include: comes_after
order by e.date desc, e.id
limit %(limit)s

-- name: list_references
-- What an entry without title is called is the beginning of what it says.
select e.id, e.key, e.date, coalesce(e.title, left(e.content, 200)) as title
from diary.entry as e
where e.owner = %(owner)s

-- name: list_earlier_versions
select
    v.version, v.updated_at, v.type, v.title, v.tags, v.importance, v.content_hash, v.content
from diary.entry_version as v
where v.entry_id = %(id)s
order by v.version

-- name: set_source
-- What an import may change besides what any update may.
update diary.entry
set
    author = %(author)s,
    session = %(session)s,
    date = %(date)s,
    source_keys = %(source_keys)s,
    source_hash = %(source_hash)s,
    front_matter = %(front_matter)s,
    imported_version = %(imported_version)s,
    source_path = %(source_path)s
where id = %(id)s

-- name: release_superseded
-- What the entry superseded and does not name any more.
update diary.entry
set superseded_by = null
where superseded_by = %(id)s and not id = any(%(kept)s::uuid [])

-- name: list_claims
-- What imported files say they supersede and is not all linked, the first claim first.
select e.id, claim.name
from diary.entry as e
cross join lateral unnest(e.source_keys) with ordinality as claim (name, place)
where
    e.owner = %(owner)s
    and e.source_keys is not null
    and cardinality(e.source_keys) > (
        select count(*) from diary.entry as older where older.superseded_by = e.id
    )
order by e.date, e.key, e.id, claim.place

-- name: find_superseded_by_nothing
select e.id, e.key
from diary.entry as e
where
    e.owner = %(owner)s
    and (e.key = any(%(names)s::text []) or e.id = any(%(ids)s::uuid []))
    and e.superseded_by is null

-- name: list_supersessions
select e.superseded_by as newer, e.id as older
from diary.entry as e
where e.owner = %(owner)s and e.superseded_by is not null

-- name: lock_entries
-- Nobody else changes, supersedes or deletes these before this transaction ends.
select e.id
from diary.entry as e
where e.id = any(%(ids)s::uuid [])
order by e.id
for update

-- name: link_entries
update diary.entry as older
set superseded_by = newer.id
from unnest(%(newer)s::uuid [], %(older)s::uuid []) as link (newer, older)
inner join diary.entry as newer on newer.id = link.newer
where older.id = link.older and older.superseded_by is null
returning newer.id

-- name: remember_export
insert into diary.exported_folder (owner, path, exported_at)
values (%(owner)s, %(path)s, %(exported_at)s)
on conflict on constraint exported_folder_pkey do update set exported_at = excluded.exported_at

-- name: find_exports
select f.path, f.exported_at
from diary.exported_folder as f
where f.owner = %(owner)s and f.path = any(%(paths)s::text [])
