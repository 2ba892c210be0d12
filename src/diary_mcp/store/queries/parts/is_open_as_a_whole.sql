-- Whether the rows let the caller read all that is in a diary `d`.
(
    d.owner = %(caller)s
    or exists (
        select
        from diary.active_role as r
        where r.diary_id = d.id and r.grantee = any(%(grantees)s)
    )
)
