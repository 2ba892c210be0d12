-- name: lock_head
-- The end of an owner's chain, held until this transaction ends. Statements after this one see
-- what whoever held it before has committed; this one sees of other tables what it began with.
insert into diary.chain_head (owner) values (%(owner)s)
on conflict on constraint chain_head_pkey do update set sequence = chain_head.sequence
returning sequence, hash, signed_at, valid_keys, known_keys

-- name: find_head
select h.sequence, h.hash, h.signed_at, h.valid_keys, h.known_keys
from diary.chain_head as h
where h.owner = %(owner)s

-- name: append_links
-- Only where the chain ends as whoever signed them has expected; else the transaction fails. Whoever
-- comes second to the row of the head waits, and then sees where the first has left it.
with moved as (
    update diary.chain_head
    set
        sequence = %(sequence)s,
        hash = %(hash)s,
        signed_at = %(signed_at)s,
        valid_keys = %(valid_keys)s,
        known_keys = %(known_keys)s
    where
        owner = %(owner)s
        and sequence = %(expected_sequence)s
        and hash is not distinct from %(expected_hash)s
    returning owner
),
added as (
    insert into diary.link (
        owner, sequence, hash, statement, signature, act, entry_id, version, supersedes, salt
    )
    select
        moved.owner, new.sequence, new.hash, new.statement, new.signature, new.act, new.entry_id,
        new.version, new.supersedes, new.salt
    from moved
    cross join json_to_recordset(%(links)s) as new (
        sequence bigint, hash text, statement text, signature text, act text, entry_id uuid,
        version bigint, supersedes uuid, salt text
    )
)
select diary.require_expected_head(exists(select from moved))

-- name: find_last_links
-- The last link about each of the entries.
select last.entry_id, last.hash, last.statement, last.signature, last.salt
from unnest(%(ids)s::uuid []) as wanted (id)
cross join lateral (
    select l.entry_id, l.hash, l.statement, l.signature, l.salt
    from diary.link as l
    where l.owner = %(owner)s and l.entry_id = wanted.id
    order by l.sequence desc
    limit 1
) as last

-- name: find_superseded
-- By what entries of any owner are known that are superseded: their last link, else their content.
-- The hash of what the link says: nothing covers the column beside it.
select
    e.id as entry,
    case when last.hash is null then e.content_hash end as content_hash,
    last.hash as link
from diary.entry as e
left join lateral (
    select 'sha256:' || encode(sha256(convert_to(l.statement, 'UTF8')), 'hex') as hash
    from diary.link as l
    where l.owner = e.owner and l.entry_id = e.id
    order by l.sequence desc
    limit 1
) as last on true
where e.id = any(%(ids)s::uuid [])

-- name: find_to_sign
-- What a link says of entries as they are now.
select
    e.id as entry_id, e.key, e.version, e.content_hash, e.created_at, e.updated_at,
    array(
        select older.id from diary.entry as older where older.superseded_by = e.id order by older.id
    ) as supersedes,
    case when e.imported_version = e.version then 'import' else 'write' end as act,
    origin.proof as origin, e.wants_signature
from diary.entry as e
left join diary.entry_origin as origin on origin.entry_id = e.id and origin.version = e.version
where e.owner = %(owner)s and e.id = any(%(ids)s::uuid [])
order by e.created_at, e.id

-- name: hold_entry
select from diary.entry as e
where e.id = %(id)s
for share

-- name: list_pending
-- Entries that wait for a signature, the oldest change first.
select e.id
from diary.entry as e
cross join lateral diary.entry_signature(e.id, e.owner, e.version, e.wants_signature) as signed
where
    e.owner = %(owner)s
    and e.wants_signature
    and signed.signature ->> 'state' = 'pending'
order by e.updated_at, e.id

-- name: list_dropped
-- Entries that were signed and are gone, without a signed deletion.
select dropped.entry_id
from (
    select distinct on (l.entry_id) l.entry_id, l.act, l.sequence
    from diary.link as l
    where l.owner = %(owner)s and l.entry_id is not null
    order by l.entry_id, l.sequence desc
) as dropped
where
    dropped.act <> 'delete'
    and not exists (
        select from diary.entry as e where e.id = dropped.entry_id and e.owner = %(owner)s
    )
order by dropped.sequence

-- name: list_links
-- One page of a chain.
select l.sequence, l.statement, l.signature
from diary.link as l
where l.owner = %(owner)s and l.sequence > %(after)s
order by l.sequence
limit %(limit)s

-- name: list_key_links
-- The first link, which admits its own key, and those that admit and revoke others.
select l.sequence, l.statement, l.signature
from diary.link as l
where l.owner = %(owner)s and (l.sequence = 1 or l.act in ('admit', 'revoke'))
order by l.sequence

-- name: list_salts
-- The salts of the last links about the versions of each of the entries.
select
    last.entry_id,
    array_agg(last.version) as versions,
    array_agg(last.salt) as salts
from (
    select distinct on (l.entry_id, l.version) l.entry_id, l.version, l.salt
    from diary.link as l
    where l.owner = %(owner)s and l.entry_id = any(%(ids)s::uuid []) and l.act <> 'delete'
    order by l.entry_id, l.version, l.sequence desc
) as last
where last.salt is not null
group by last.entry_id

-- name: list_whole_versions
-- Earlier versions that are known whole, the newest first.
select
    v.entry_id as id, %(owner)s as owner, v.version, v.author, v.session, v.type, v.title,
    v.content, v.tags, v.importance, v.date, v.updated_at, v.content_hash
from diary.entry_version as v
where v.entry_id = any(%(ids)s::uuid []) and v.author is not null
order by v.entry_id, v.version desc

-- name: put_origins
insert into diary.entry_origin (entry_id, version, proof)
select new.entry_id, new.version, new.proof
from unnest(%(ids)s::uuid [], %(versions)s::bigint [], %(proofs)s::text [])
    as new (entry_id, version, proof)
on conflict on constraint entry_origin_pkey do update
set version = excluded.version, proof = excluded.proof

-- name: list_origins
select o.entry_id, o.proof
from diary.entry_origin as o
inner join diary.entry as e on e.id = o.entry_id and e.version = o.version
where o.entry_id = any(%(ids)s::uuid []) and e.owner = %(owner)s

-- name: put_request
-- A request replaces the one before for the same thing.
insert into diary.signature_request (id, owner, subject, statement, salt, expires_at)
values (%(id)s, %(owner)s, %(subject)s, %(statement)s, %(salt)s, %(expires_at)s)
on conflict on constraint signature_request_is_the_only_one do update
set
    id = excluded.id,
    statement = excluded.statement,
    salt = excluded.salt,
    expires_at = excluded.expires_at

-- name: take_request
-- Once: whoever comes second finds nothing.
delete from diary.signature_request
where id = %(id)s and owner = %(owner)s and expires_at > clock_timestamp()
returning statement, salt

-- name: expire_request
delete from diary.signature_request
where id = %(id)s and expires_at <= clock_timestamp()
