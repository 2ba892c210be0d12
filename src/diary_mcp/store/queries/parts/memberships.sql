-- What the subject is a member of, at most max_depth sets away.
diary.memberships(
    %(subject)s,
    %(max_depth)s,
    %(membership_namespaces)s::text [],
    %(membership_relations)s::text [],
    %(membership_subject_namespaces)s::text [],
    %(membership_subject_relations)s::text []
) as m
