-- A relation tuple `t`.
t.namespace,
t.object,
t.relation,
t.subject_id,
t.subject_namespace,
t.subject_object,
t.subject_relation
