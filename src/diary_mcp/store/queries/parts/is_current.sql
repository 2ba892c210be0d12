-- Whether nothing that the owner may see supersedes an entry `e`.
(
    e.superseded_by is null
    or not exists (
        select from diary.newer_seen_by(e.superseded_by, %(diary)s, %(owner)s, %(grantees)s)
    )
)
