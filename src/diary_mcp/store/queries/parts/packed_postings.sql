-- The same in one row.
select
    coalesce(array_agg(found.term), '{}') as terms,
    coalesce(array_agg(found.ids), '{}') as posting_ids,
    coalesce(array_agg(found.counts), '{}') as posting_counts
from (
    -- include: postings_by_term
) as found
