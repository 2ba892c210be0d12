-- name: read_page
-- Documents of an owner, or in a diary, those changed last first, from where another page ended; in
-- packed columns.
select
    min(document.changed_in)::text as last_change,
    (array_agg(document.entry_id order by document.changed_in, document.entry_id))[1] as last_id,
    -- include: packed_documents
from (
    (
        select
            d.entry_id, d.changed_in, d.revision, d.words_by, d.vectors_by, d.length, d.words, d.asks,
            d.vectors
        from diary.search_document as d
        where
            d.owner = %(owner)s
            and (d.changed_in, d.entry_id) < (%(change)s::text::xid8, %(id)s::uuid)
        order by d.changed_in desc, d.entry_id desc
        limit %(limit)s
    )
    union all
    (
        select
            d.entry_id, d.changed_in, d.revision, d.words_by, d.vectors_by, d.length, d.words, d.asks,
            d.vectors
        from diary.search_document as d
        where
            d.diary_id = %(diary)s
            and (d.changed_in, d.entry_id) < (%(change)s::text::xid8, %(id)s::uuid)
        order by d.changed_in desc, d.entry_id desc
        limit %(limit)s
    )
) as document
inner join diary.entry as e on e.id = document.entry_id

-- name: list_changes
-- What was changed by transactions that had not ended at an earlier moment, and how much of that is
-- decided for good by now. A number beyond all of this server comes from another one.
select
    coalesce(string_agg(uuid_send(changed.entry_id), ''), '') as ids,
    coalesce(string_agg(int8send(changed.revision), ''), '') as revisions,
    count(*) filter (where changed.changed_in < pg_snapshot_xmin(pg_current_snapshot())) as settled,
    pg_snapshot_xmin(pg_current_snapshot())::text as horizon
from (
    (
        select d.entry_id, d.revision, d.changed_in
        from diary.search_document as d
        where
            d.owner = %(owner)s
            and d.changed_in >= %(horizon)s::text::xid8
            and d.changed_in < pg_snapshot_xmax(pg_current_snapshot())
        limit %(most)s
    )
    union all
    (
        select d.entry_id, d.revision, d.changed_in
        from diary.search_document as d
        where
            d.diary_id = %(diary)s
            and d.changed_in >= %(horizon)s::text::xid8
            and d.changed_in < pg_snapshot_xmax(pg_current_snapshot())
        limit %(most)s
    )
) as changed

-- name: read_beside_own
-- What there is beside a caller's own documents: what names them, and what others share. Nothing in
-- it is worth another plan for other values, and PostgreSQL keeps the one that it has.
select
    0::bigint as documents,
    0::bigint as fingerprint,
    exists (select from diary.reach_of(%(caller)s)) as is_reached,
    ''::bytea as superseded,
    ''::bytea as superseded_by,
    null::bytea as matching,
    -- include: own_named
    as named,
    null::text [] as terms,
    null::bytea [] as posting_ids,
    null::bytea [] as posting_counts,
    shared.ids as shared_ids,
    shared.revisions as shared_revisions,
    shared.eligible as shared_eligible,
    shared.superseded_by as shared_superseded_by,
    shared.named as shared_named,
    shared.diaries as shared_diaries,
    shared.in_own as shared_in_own
from (
    -- include: shared_documents
) as shared

-- name: read_beside_diary
-- The same of a diary that is open to the reader as a whole.
select
    0::bigint as documents,
    0::bigint as fingerprint,
    exists (select from diary.reach_of(%(caller)s)) as is_reached,
    ''::bytea as superseded,
    ''::bytea as superseded_by,
    null::bytea as matching,
    -- include: named_in_diary
    as named,
    null::text [] as terms,
    null::bytea [] as posting_ids,
    null::bytea [] as posting_counts,
    written.owners,
    whole.is_own
from
    -- include: whole_diary

-- name: read_standing
-- Of these entries those that are where it is searched, and which of them may be hits.
select
    -- include: packed_standing
    coalesce(string_agg(uuid_send(e.id), ''), '') as ids
from unnest(%(asked)s::uuid []) as asked (id)
inner join diary.entry as e on e.id = asked.id
-- include: standing

-- name: read_chosen
-- The same with their documents, each of which is looked up as its entry is.
select
    -- include: packed_standing
    -- include: packed_documents
from unnest(%(asked)s::uuid []) as asked (id)
inner join diary.entry as e on e.id = asked.id
inner join diary.search_document as document on document.entry_id = e.id
-- include: standing

-- name: list_matching
-- All that pass the filters, where few of the best do.
select coalesce(string_agg(uuid_send(e.id), ''), '') as ids
from diary.entry as e
where
    -- include: is_where_searched
    and -- include: passes_filters

-- name: list_vocabulary
-- Terms that begin with some characters, each found by one step in the index, however many entries
-- have it.
with recursive word as (
    select bound.until, writer.owner, next.term
    from unnest(%(firsts)s::text [], %(ends)s::text []) as bound (first, until)
    cross join unnest(%(owners)s::text []) as writer (owner)
    cross join lateral (
        select p.term from diary.posting as p
        where p.owner = writer.owner and p.term >= bound.first and p.term < bound.until
        order by p.term
        limit 1
    ) as next
    union all
    select word.until, word.owner, next.term
    from word
    cross join lateral (
        select p.term from diary.posting as p
        where p.owner = word.owner and p.term > word.term and p.term < word.until
        order by p.term
        limit 1
    ) as next
)
select word.term from word
limit %(most)s
