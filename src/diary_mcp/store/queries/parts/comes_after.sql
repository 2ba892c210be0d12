-- Whether an entry `e` comes after the last one of the page before.
(
    %(after_date)s::timestamptz is null
    or e.date < %(after_date)s
    or (e.date = %(after_date)s and e.id > %(after_id)s)
)
