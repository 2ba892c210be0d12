-- Whether an entry `e` of the owner is of the types and the time that are asked about.
e.owner = %(owner)s
and (%(types)s::text [] is null or e.type = any(%(types)s))
and (%(since)s::timestamptz is null or e.date >= %(since)s)
and (%(until)s::timestamptz is null or e.date <= %(until)s)
