-- name: read_snapshot
-- What there is and what of it may be a hit, at one moment. The caller's own documents come as two
-- numbers, which change when any of them does. Of somebody else's entry, only a newer one that is
-- shared too makes it superseded.
select
    own.documents,
    own.fingerprint,
    exists (select from diary.reach_of(%(caller)s)) as is_reached,
    replaced.superseded,
    replaced.superseded_by,
    case
        when %(diary)s::uuid is not null or %(main_of)s::text is not null then coalesce((
            select string_agg(uuid_send(e.id), '')
            from diary.entry as e
            where
                %(mine)s
                and own.documents < %(most)s
                and e.owner = %(caller)s
                and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
        ), '')
    end as placed,
    case
        when %(filtered)s then coalesce((
            select string_agg(uuid_send(e.id), '')
            from diary.entry as e
            where
                %(mine)s
                and own.documents < %(most)s
                and e.owner = %(caller)s
                and -- include: passes_filters
                and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
        ), '')
    end as matching,
    -- include: own_named
    as named,
    null as terms,
    null as posting_ids,
    null as posting_counts,
    shared.ids as shared_ids,
    shared.revisions as shared_revisions,
    shared.eligible as shared_eligible,
    shared.superseded_by as shared_superseded_by,
    shared.named as shared_named,
    shared.diaries as shared_diaries,
    shared.in_own as shared_in_own
from
    -- include: own_documents
cross join (
    -- include: shared_documents
) as shared

-- name: read_lone_snapshot
-- The same where nothing narrows it, and no row where anything of others' may be readable. PostgreSQL
-- plans a statement with its values as long as that promises to pay, and what the values rule out of
-- the other one promises a lot; of this one, which is asked nearly always, it keeps the plan.
select
    own.documents,
    own.fingerprint,
    false as is_reached,
    replaced.superseded,
    replaced.superseded_by,
    null::bytea as matching,
    -- include: own_named
    as named,
    words.terms,
    words.posting_ids,
    words.posting_counts
from
    -- include: own_documents
cross join (select array[%(caller)s::text] as owners) as written
cross join lateral (
    -- include: packed_postings
    where own.documents < %(most)s
) as words
where
    not exists (select from diary.reach_of(%(caller)s))
    and not exists (
        select
        from diary.diary as d
        cross join lateral diary.writers_in(d.id) as writer
        where d.owner = %(caller)s and writer.owner <> %(caller)s
    )

-- name: read_diary_snapshot
-- The same of a diary that is open to the reader as a whole, whoever wrote there; no row of any other,
-- nor of a `main` whose earlier entries do not name it yet.
select
    known.documents,
    known.fingerprint,
    exists (select from diary.reach_of(%(caller)s)) as is_reached,
    replaced.superseded,
    replaced.superseded_by,
    case
        when %(filtered)s then coalesce((
            select string_agg(uuid_send(e.id), '')
            from diary.entry as e
            where
                known.documents < %(most)s
                and e.diary_id = whole.id
                and -- include: passes_filters
        ), '')
    end as matching,
    -- include: named_in_diary
    as named,
    words.terms,
    words.posting_ids,
    words.posting_counts,
    written.owners,
    whole.is_own
from
    -- include: whole_diary
cross join lateral (
    select
        count(*) as documents,
        coalesce(bit_xor(document.revision), 0) as fingerprint
    from (
        select counted.revision
        from diary.search_document as counted
        where counted.diary_id = whole.id
        limit %(most)s
    ) as document
) as known
cross join lateral (
    select
        coalesce(string_agg(uuid_send(older.id), ''), '') as superseded,
        coalesce(string_agg(uuid_send(older.superseded_by), ''), '') as superseded_by
    from diary.entry as older
    where
        not %(include_superseded)s
        and known.documents < %(most)s
        and older.diary_id = whole.id
        and older.superseded_by is not null
        and exists (
            select
            from diary.newer_seen_by(older.superseded_by, %(diary)s, %(caller)s, %(grantees)s)
        )
) as replaced
cross join lateral (
    -- include: packed_postings
    where known.documents < %(most)s
) as words

-- name: list_revisions
-- The documents of an owner, or of a diary, each with the number of its state.
select
    coalesce(string_agg(uuid_send(d.entry_id), ''), '') as ids,
    coalesce(string_agg(int8send(d.revision), ''), '') as revisions
from diary.search_document as d
where d.owner = %(owner)s

-- name: list_revisions_in_diary
select
    coalesce(string_agg(uuid_send(d.entry_id), ''), '') as ids,
    coalesce(string_agg(int8send(d.revision), ''), '') as revisions
from diary.search_document as d
where d.diary_id = %(diary)s

-- name: read_all_documents
-- What search knows of all entries of an owner's or in a diary, in packed columns.
select
    -- include: packed_documents
from diary.entry as e
inner join diary.search_document as document on document.entry_id = e.id
where
    (%(owner)s::text is null or (e.owner = %(owner)s and document.owner = %(owner)s))
    and (%(diary)s::uuid is null or (e.diary_id = %(diary)s and document.diary_id = %(diary)s))

-- name: read_documents
-- The same of some entries. By their ids, each is looked up: by a condition on the owner beside them,
-- PostgreSQL would go through all there are.
select
    -- include: packed_documents
from diary.entry as e
inner join diary.search_document as document on document.entry_id = e.id
where e.id in (select unnest(%(ids)s::uuid []))

-- name: read_postings
-- Each term's entries: those of some owners by their index, term by term, because gathering the terms
-- of all that was found takes longer than finding it; shared ones entry by entry.
(
    select own.term, own.ids, own.counts
    from (select %(owners)s::text [] as owners) as written
    cross join lateral (
        -- include: postings_by_term
    ) as own
)
union all
(
    select
        other.term,
        string_agg(uuid_send(other.entry_id), '') as ids,
        string_agg(int4send(other.count::integer), '') as counts
    from diary.posting as other
    where other.entry_id = any(%(shared)s::uuid []) and other.term = any(%(terms)s::text [])
    group by other.term
)

-- name: list_terms
-- The vocabulary between pairs of bounds: all that begins with some characters. So many rows of the
-- index are read at most, however large it is. Of a diary, no word that stands elsewhere alone.
(
    select distinct own.term
    from (
        select posting.term
        from unnest(%(firsts)s::text [], %(ends)s::text []) as bound (first, until)
        inner join diary.posting
            on
                posting.owner = any(%(owners)s::text [])
                and posting.term >= bound.first
                and posting.term < bound.until
        where
            %(diary)s::uuid is null
            or exists (
                select
                from diary.search_document as document
                where document.entry_id = posting.entry_id and document.diary_id = %(diary)s
            )
        limit %(most)s
    ) as own
)
union
(
    select distinct other.term
    from (
        select posting.term
        from unnest(%(firsts)s::text [], %(ends)s::text []) as bound (first, until)
        inner join diary.posting
            on
                posting.entry_id = any(%(shared)s::uuid [])
                and posting.term >= bound.first
                and posting.term < bound.until
        limit %(most)s
    ) as other
)

-- name: read_texts
select e.id, e.owner, e.author, e.title, e.content, e.tags, e.version
from diary.entry as e
where e.id = any(%(ids)s::uuid [])

-- name: list_entries
-- Whole entries that the rows let the reader see, of their signature only the state.
select
    e.id, e.key, e.owner, e.author, e.session, e.type, e.title, e.content, e.tags, e.importance,
    visible.supersedes, visible.superseded_by, e.version, e.date, e.created_at, e.updated_at,
    e.content_hash, visible.role, visible.sharing,
    signed.signature ->> 'state' as signature, placed.diary
from diary.entry as e
-- include: seen_by_the_caller
where
    e.id = any(%(ids)s::uuid [])
    and -- include: is_readable

-- name: claim_words
-- Entries whose words are to be indexed, and that nobody else is at. Every owner who waits has a turn
-- before any has a second, with the newest entry first. The locks are the session's: no row is
-- locked while the work is done, and they go with the connection.
with recursive waiting_owner as (
    (
        select d.owner from diary.search_document as d
        where d.words_by is null
        order by d.owner
        limit 1
    )
    union all
    select next.owner
    from waiting_owner
    cross join lateral (
        select d.owner from diary.search_document as d
        where d.words_by is null and d.owner > waiting_owner.owner
        order by d.owner
        limit 1
    ) as next
),
waiting as materialized (
    (
        select newest.entry_id
        from waiting_owner
        cross join lateral (
            select d.entry_id, row_number() over (order by d.entry_id desc) as turn
            from diary.search_document as d
            where d.words_by is null and d.owner = waiting_owner.owner
            order by d.entry_id desc
            limit %(limit)s
        ) as newest
        order by newest.turn, random()
        limit %(limit)s
    )
    union all
    (select d.entry_id from diary.search_document as d where d.words_by < %(version)s limit %(limit)s)
    union all
    (select d.entry_id from diary.search_document as d where d.words_by > %(version)s limit %(limit)s)
    limit %(limit)s
)
select e.id, e.owner, e.author, e.title, e.content, e.tags, e.version
from waiting
inner join diary.entry as e on e.id = waiting.entry_id
where pg_try_advisory_lock(hashtextextended('diary-mcp index ' || waiting.entry_id::text, 0))

-- name: claim_vectors
-- The same for vectors.
with recursive waiting_owner as (
    (
        select d.owner from diary.search_document as d
        where d.vectors_by is null
        order by d.owner
        limit 1
    )
    union all
    select next.owner
    from waiting_owner
    cross join lateral (
        select d.owner from diary.search_document as d
        where d.vectors_by is null and d.owner > waiting_owner.owner
        order by d.owner
        limit 1
    ) as next
),
waiting as materialized (
    (
        select newest.entry_id
        from waiting_owner
        cross join lateral (
            select d.entry_id, row_number() over (order by d.entry_id desc) as turn
            from diary.search_document as d
            where d.vectors_by is null and d.owner = waiting_owner.owner
            order by d.entry_id desc
            limit %(limit)s
        ) as newest
        order by newest.turn, random()
        limit %(limit)s
    )
    union all
    (select d.entry_id from diary.search_document as d where d.vectors_by < %(version)s limit %(limit)s)
    union all
    (select d.entry_id from diary.search_document as d where d.vectors_by > %(version)s limit %(limit)s)
    limit %(limit)s
)
select e.id, e.owner, e.author, e.title, e.content, e.tags, e.version
from waiting
inner join diary.entry as e on e.id = waiting.entry_id
where pg_try_advisory_lock(hashtextextended('diary-mcp index ' || waiting.entry_id::text, 0))

-- name: release_claims
select pg_advisory_unlock_all()

-- name: lock_documents
-- Those that are still as they were read. Whoever changes one at this moment indexes it later.
select d.entry_id
from diary.search_document as d
inner join unnest(%(ids)s::uuid [], %(versions)s::bigint []) as read (entry_id, version)
    on d.entry_id = read.entry_id and d.version = read.version
for update of d skip locked

-- name: remove_postings
delete from diary.posting
where entry_id = any(%(ids)s::uuid [])

-- name: copy_postings
copy diary.posting (owner, term, entry_id, count) from stdin (format binary)

-- name: mark_words
update diary.search_document as document
set
    words_by = %(version)s,
    words = indexed.words,
    length = indexed.length,
    asks = indexed.asks
from json_to_recordset(%(indexed)s) as indexed (id uuid, words bigint, length bigint, asks boolean)
where document.entry_id = indexed.id

-- name: write_vectors
update diary.search_document
set vectors_by = %(model)s, vectors = %(vectors)s
where entry_id = %(id)s

-- name: is_waiting
-- Whether anything is left to index; without a model, words alone.
select
    exists (select from diary.search_document as d where d.words_by is null)
    or exists (select from diary.search_document as d where d.words_by < %(words_by)s)
    or exists (select from diary.search_document as d where d.words_by > %(words_by)s)
    or (
        %(model)s::text is not null
        and (
            exists (select from diary.search_document as d where d.vectors_by is null)
            or exists (select from diary.search_document as d where d.vectors_by < %(model)s)
            or exists (select from diary.search_document as d where d.vectors_by > %(model)s)
        )
    )
