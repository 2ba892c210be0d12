-- name: list_versions
-- Earlier versions, the newest first.
select v.version, v.updated_at, v.type, v.title, v.tags, v.importance, v.content_hash
from diary.entry_version as v
where v.entry_id = %(entry_id)s
order by v.version desc
limit %(limit)s

-- name: find_version
select
    v.version, v.updated_at, v.type, v.title, v.tags, v.importance, v.content_hash, v.content
from diary.entry_version as v
where v.entry_id = %(entry_id)s and v.version = %(version)s
