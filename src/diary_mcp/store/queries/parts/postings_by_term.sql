-- Where each term that is looked up stands in entries of `written.owners`, as packed columns. How many
-- terms there are is hidden from PostgreSQL, or it would plan the statement for each number of them.
select asked.term, indexed.ids, indexed.counts
from unnest((select %(terms)s::text [])) as asked (term)
cross join lateral (
    select
        string_agg(uuid_send(posting.entry_id), '') as ids,
        string_agg(int4send(posting.count::integer), '') as counts
    from diary.posting
    where posting.owner = any(written.owners) and posting.term = asked.term
) as indexed
where indexed.ids is not null
