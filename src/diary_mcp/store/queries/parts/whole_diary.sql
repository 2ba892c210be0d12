-- The diary that is open to the reader as a whole, and who has written there.
(
    select d.id, d.owner = %(caller)s as is_own
    from diary.diary as d
    where
        d.id = %(diary)s
        and (d.name <> 'main' or d.is_placed)
        and -- include: is_open_as_a_whole
) as whole
cross join lateral (
    select array(select writer.owner from diary.writers_in(whole.id) as writer) as owners
) as written
