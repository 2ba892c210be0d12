-- Whether an entry `e` passes the filters.
diary.matches(e, %(types)s, %(tags)s, %(any_tags)s, %(exclude_tags)s, %(author)s, %(since)s, %(until)s, %(min_importance)s)
and (%(session)s::text is null or e.session = %(session)s)
