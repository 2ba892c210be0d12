-- Whether the rows let the caller read an entry `e`.
(
    e.owner = %(caller)s
    or diary.is_open_to(e.id, %(grantees)s)
)
