-- name: list_candidates
-- Earlier entries of one owner by how many words they share with a new one: first the dozen that
-- share most of its rarest words, then of these all words; most share too few, and nothing more is
-- read of them. Of each word only the newest entries that have it are looked at, so this costs the
-- same however large the diary is. The owner is not named again for the words of these: PostgreSQL
-- would go through every term that the owner has. With them the newest earlier entries of the owner
-- whose words are not indexed yet, whole, up to 8,000 bytes of them, found among the newest of
-- everybody's. In one statement, because what is indexed between two would be missing from both, or
-- in both.
with near as materialized (
    select holder.entry_id
    from unnest(%(rarest)s::text []) as word (term)
    cross join lateral (
        select newest.entry_id, count(*) over () as found
        from (
            select p.entry_id
            from diary.posting as p
            where p.owner = %(owner)s and p.term = word.term and p.entry_id < %(before)s
            order by p.entry_id desc
            limit 40
        ) as newest
    ) as holder
    group by holder.entry_id
    order by sum(1::double precision / (1 + holder.found)) desc, holder.entry_id desc
    limit 12
),
shared as (
    select
        p.entry_id,
        count(*)::integer as terms,
        sum(least(p.count, mine.count))::integer as words
    from near
    inner join diary.posting as p on p.entry_id = near.entry_id
    inner join (
        select each.key as term, each.value::bigint as count
        from json_each_text(%(counts)s) as each
    ) as mine on mine.term = p.term
    group by p.entry_id
    having sum(least(p.count, mine.count)) >= %(fewest)s
),
indexed as (
    select
        e.id,
        e.title,
        document.words::integer as words,
        shared.terms as shared_terms,
        shared.words as shared_words
    from shared
    inner join diary.entry as e on e.id = shared.entry_id
    inner join diary.search_document as document on document.entry_id = shared.entry_id
    where
        document.words_by is not null
        and e.superseded_by is null
        and -- include: is_in_the_same_diary
)
select
    indexed.id, indexed.title, indexed.words, indexed.shared_terms, indexed.shared_words,
    null as owner, null as author, null as content, null::text [] as tags, null::bigint as version
from indexed
union all
select
    waiting.id, waiting.title, null, null, null,
    waiting.owner, waiting.author, waiting.content, waiting.tags, waiting.version
from (
    select
        e.id, e.owner, e.author, e.title, e.content, e.tags, e.version,
        sum(octet_length(e.content)) over (order by e.id desc) as bytes
    from (
        select d.entry_id, d.owner
        from diary.search_document as d
        where d.words_by is null and d.entry_id < %(before)s
        order by d.entry_id desc
        limit 200
    ) as newest
    inner join diary.entry as e on e.id = newest.entry_id
    where
        newest.owner = %(owner)s
        and e.superseded_by is null
        and -- include: is_in_the_same_diary
) as waiting
where waiting.bytes <= 8000
