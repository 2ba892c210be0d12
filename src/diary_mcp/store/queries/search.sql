-- name: read_corpus
-- Every entry within the scope in packed columns; the filters only mark who is eligible.
-- Of somebody else's entry, only a newer one that is shared too makes it superseded.
select
    coalesce(string_agg(uuid_send(candidate.id), ''), '') as ids,
    coalesce(string_agg(boolsend(candidate.owned), ''), '') as owned,
    coalesce(string_agg(boolsend(candidate.eligible), ''), '') as eligible,
    coalesce(string_agg(boolsend(candidate.named), ''), '') as named,
    coalesce(string_agg(boolsend(candidate.worded), ''), '') as worded,
    coalesce(string_agg(float8send(candidate.day), ''), '') as days,
    coalesce(string_agg(int8send(candidate.session), ''), '') as sessions,
    coalesce(string_agg(int4send(candidate.length::integer), ''), '') as lengths,
    coalesce(string_agg(int4send(candidate.words::integer), ''), '') as words,
    coalesce(string_agg(boolsend(candidate.asks), ''), '') as asks,
    coalesce(string_agg(int4send(octet_length(candidate.vectors)), ''), '') as vector_sizes,
    coalesce(string_agg(candidate.vectors, ''), '') as vectors,
    coalesce(array_agg(candidate.author), '{}') as authors
from (
    select
        e.id,
        true as owned,
        diary.matches(e, %(types)s, %(tags)s, %(any_tags)s, %(exclude_tags)s, %(author)s, %(since)s, %(until)s, %(min_importance)s)
        and (
            %(include_superseded)s
            or e.id not in (
                select newer.supersedes
                from diary.entry as newer
                where newer.owner = %(caller)s and newer.supersedes is not null
            )
        ) as eligible,
        coalesce(e.key = any(%(names)s::text []), false)
        or e.id = any(%(ids)s::uuid []) as named,
        coalesce(document.words_by = %(words_by)s, false) as worded,
        date_part('epoch', e.date) / 86400 as day,
        coalesce(hashtextextended(e.session, hashtextextended(e.owner, 0)), 0) as session,
        document.length,
        document.words,
        document.asks,
        case when document.vectors_by = %(model)s then document.vectors else '' end as vectors,
        e.author
    from diary.entry as e
    inner join diary.search_document as document on document.entry_id = e.id
    where
        %(mine)s
        and e.owner = %(caller)s
        and document.owner = %(caller)s
        and (%(created_by)s::timestamptz is null or e.created_at <= %(created_by)s)
    union all
    select
        e.id,
        false as owned,
        diary.matches(e, %(types)s, %(tags)s, %(any_tags)s, %(exclude_tags)s, %(author)s, %(since)s, %(until)s, %(min_importance)s)
        and (
            %(include_superseded)s
            or not exists (
                select
                from diary.entry as newer
                inner join diary.share as s on s.entry_id = newer.id
                where
                    newer.supersedes = e.id
                    and s.grantee = any(%(grantees)s)
                    and (s.expires_at is null or s.expires_at > clock_timestamp())
            )
        ) as eligible,
        coalesce(e.key = any(%(names)s::text []), false)
        or e.id = any(%(ids)s::uuid []) as named,
        coalesce(document.words_by = %(words_by)s, false) as worded,
        date_part('epoch', e.date) / 86400 as day,
        coalesce(hashtextextended(e.session, hashtextextended(e.owner, 0)), 0) as session,
        document.length,
        document.words,
        document.asks,
        case when document.vectors_by = %(model)s then document.vectors else '' end as vectors,
        e.author
    from diary.entry as e
    inner join diary.search_document as document on document.entry_id = e.id
    where
        %(shared)s
        and e.owner <> %(caller)s
        and (%(created_by)s::timestamptz is null or e.created_at <= %(created_by)s)
        and e.id in (
            select s.entry_id
            from diary.share as s
            where
                s.grantee = any(%(grantees)s)
                and (s.expires_at is null or s.expires_at > clock_timestamp())
        )
) as candidate

-- name: read_postings
-- Each term's entries: the caller's own by their index, shared ones entry by entry.
select
    posting.term,
    string_agg(uuid_send(posting.entry_id), '') as ids,
    string_agg(int4send(posting.count::integer), '') as counts
from (
    select own.term, own.entry_id, own.count
    from diary.posting as own
    where own.owner = %(caller)s and own.term = any(%(terms)s::text [])
    union all
    select other.term, other.entry_id, other.count
    from diary.posting as other
    where other.entry_id = any(%(shared)s::uuid []) and other.term = any(%(terms)s::text [])
) as posting
group by posting.term

-- name: list_terms
-- The vocabulary between pairs of bounds: all that begins with some characters.
select own.term
from unnest(%(firsts)s::text [], %(ends)s::text []) as bound (first, until)
inner join diary.posting as own
    on own.owner = %(caller)s and own.term >= bound.first and own.term < bound.until
union
select other.term
from unnest(%(firsts)s::text [], %(ends)s::text []) as bound (first, until)
inner join diary.posting as other
    on
        other.entry_id = any(%(shared)s::uuid [])
        and other.term >= bound.first
        and other.term < bound.until
order by term

-- name: read_texts
select e.id, e.owner, e.author, e.title, e.content, e.tags, e.version
from diary.entry as e
where e.id = any(%(ids)s::uuid [])

-- name: list_with_phrase
select e.id
from diary.entry as e
where
    e.id = any(%(ids)s::uuid [])
    and strpos(
        regexp_replace(lower(concat_ws(e'\n', e.title, e.content)), '\s+', ' ', 'g'),
        lower(%(phrase)s)
    ) > 0

-- name: list_entries
-- Whole entries that the rows let the reader see.
select
    e.id, e.key, e.owner, e.author, e.session, e.type, e.title, e.content, e.tags, e.importance,
    visible.supersedes, visible.superseded_by, e.version, e.date, e.created_at, e.updated_at,
    e.content_hash, visible.role, visible.sharing
from diary.entry as e
cross join lateral diary.reader_view(e.id, e.owner, e.supersedes, %(caller)s, %(grantees)s)
as visible
where
    e.id = any(%(ids)s::uuid [])
    and (
        e.owner = %(caller)s
        or exists (
            select
            from diary.share as s
            where
                s.entry_id = e.id
                and s.grantee = any(%(grantees)s)
                and (s.expires_at is null or s.expires_at > clock_timestamp())
        )
    )

-- name: claim_words
-- Entries whose words are to be indexed, and that nobody else is at. The locks are the session's:
-- no row is locked while the work is done, and they go with the connection.
with waiting as materialized (
    (
        select d.entry_id from diary.search_document as d
        where d.words_by is null
        order by d.entry_id desc
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
with waiting as materialized (
    (
        select d.entry_id from diary.search_document as d
        where d.vectors_by is null
        order by d.entry_id desc
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
update diary.search_document
set
    words_by = %(version)s,
    words = %(words)s,
    length = %(length)s,
    asks = %(asks)s
where entry_id = %(id)s

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
