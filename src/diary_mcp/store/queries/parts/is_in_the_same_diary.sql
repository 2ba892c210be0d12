-- Null is the owner's `main`, whose id is looked up once for all entries, and only where it matters.
-- As a function that looks it up, PostgreSQL would run it for each of them.
(
    e.diary_id is not distinct from %(diary)s::uuid
    or (e.diary_id is null or %(diary)s::uuid is null)
    and coalesce(e.diary_id, %(diary)s::uuid) = (
        select main.id
        from diary.diary as main
        where main.owner = %(owner)s and main.name = 'main'
    )
)
