-- name: list_memberships
-- Objects whose relation the subject stands in, at most max_depth sets away.
select m.object
from -- include: memberships
where m.namespace = %(namespace)s and m.relation = %(relation)s

-- name: list_granted
-- Those of the objects on which a tuple that the granting rules admit names the subject itself, or
-- members that it is among, at most max_depth sets away; or such a tuple on an object that one of
-- these names as its parent. The tuples on the objects are few, those of a group may be very many: so
-- these are gathered first.
with granting as (
    select
        rule.namespace,
        rule.relation,
        rule.subject_namespace,
        rule.subject_relation
    from unnest(
        %(granting_namespaces)s::text [],
        %(granting_relations)s::text [],
        %(granting_subject_namespaces)s::text [],
        %(granting_subject_relations)s::text []
    ) as rule (namespace, relation, subject_namespace, subject_relation)
),

lending as (
    select
        rule.namespace,
        rule.relation,
        rule.subject_namespace,
        rule.subject_relation
    from unnest(
        %(lending_namespaces)s::text [],
        %(lending_relations)s::text [],
        %(lending_subject_namespaces)s::text [],
        %(lending_subject_relations)s::text []
    ) as rule (namespace, relation, subject_namespace, subject_relation)
),

candidate as materialized (
    select
        t.object,
        t.subject_id,
        t.subject_namespace,
        t.subject_object,
        t.subject_relation
    from diary.relation_tuple as t
    inner join granting as g
        on t.namespace = g.namespace
        and t.relation = g.relation
        and t.subject_namespace is not distinct from g.subject_namespace
        and t.subject_relation is not distinct from g.subject_relation
    where t.object = any(%(objects)s::text [])
    union all
    select
        parent.object,
        t.subject_id,
        t.subject_namespace,
        t.subject_object,
        t.subject_relation
    from diary.relation_tuple as parent
    inner join diary.relation_tuple as t
        on t.namespace = parent.subject_namespace and t.object = parent.subject_object
    inner join lending as l
        on t.namespace = l.namespace
        and t.relation = l.relation
        and t.subject_namespace is not distinct from l.subject_namespace
        and t.subject_relation is not distinct from l.subject_relation
    where
        parent.object = any(%(objects)s::text [])
        and parent.namespace = %(parent_namespace)s::text
        and parent.relation = %(parent_relation)s
        and parent.subject_namespace = %(lender)s
)

select distinct c.object
from candidate as c
where
    c.subject_id = %(subject)s
    or (c.subject_namespace, c.subject_object, c.subject_relation) in (
        select m.namespace, m.object, m.relation
        from -- include: memberships
    )

-- name: list_tuples
-- Every tuple on one of the objects.
select
    -- include: tuple_columns
from diary.relation_tuple as t
where
    t.namespace = %(namespace)s
    and t.object = any(%(objects)s::text [])

-- name: list_tuples_of_next_objects
-- The tuples on the next objects of a namespace, in the order of their names.
select
    -- include: tuple_columns
from diary.relation_tuple as t
where
    t.namespace = %(namespace)s
    and t.object in (
        select distinct o.object
        from diary.relation_tuple as o
        where
            o.namespace = %(namespace)s
            and (%(after)s::text is null or o.object > %(after)s)
        order by o.object
        limit %(limit)s
    )
order by t.object

-- name: list_held
-- Every tuple of a namespace whose subject is this one; by either index on subjects.
select
    -- include: tuple_columns
from diary.relation_tuple as t
where t.namespace = %(namespace)s and t.subject_id = %(subject_id)s
union all
select
    -- include: tuple_columns
from diary.relation_tuple as t
where
    t.namespace = %(namespace)s
    and t.subject_id is null
    and t.subject_namespace = %(subject_namespace)s
    and t.subject_object = %(subject_object)s
    and t.subject_relation = %(subject_relation)s

-- name: list_containing
-- Objects of the namespace whose relation holds this subject set.
select distinct t.object
from diary.relation_tuple as t
where
    t.subject_id is null
    and t.subject_namespace = %(subject_namespace)s
    and t.subject_object = %(subject_object)s
    and t.subject_relation = %(subject_relation)s
    and t.namespace = %(namespace)s
    and t.relation = %(relation)s

-- name: insert_tuples
-- In one order always, so that two inserts never wait for each other.
insert into diary.relation_tuple (
    namespace,
    object,
    relation,
    subject_id,
    subject_namespace,
    subject_object,
    subject_relation
)
select
    wanted.namespace,
    wanted.object,
    wanted.relation,
    wanted.subject_id,
    wanted.subject_namespace,
    wanted.subject_object,
    wanted.subject_relation
from unnest(
    %(namespaces)s::text [],
    %(objects)s::text [],
    %(relations)s::text [],
    %(subject_ids)s::text [],
    %(subject_namespaces)s::text [],
    %(subject_objects)s::text [],
    %(subject_relations)s::text []
) as wanted (
    namespace,
    object,
    relation,
    subject_id,
    subject_namespace,
    subject_object,
    subject_relation
)
order by
    wanted.namespace,
    wanted.object,
    wanted.relation,
    wanted.subject_id,
    wanted.subject_object
on conflict on constraint relation_tuple_is_unique do nothing

-- name: delete_tuples
delete from diary.relation_tuple as t
using unnest(
    %(namespaces)s::text [],
    %(objects)s::text [],
    %(relations)s::text [],
    %(subject_ids)s::text [],
    %(subject_namespaces)s::text [],
    %(subject_objects)s::text [],
    %(subject_relations)s::text []
) as gone (
    namespace,
    object,
    relation,
    subject_id,
    subject_namespace,
    subject_object,
    subject_relation
)
where
    t.namespace = gone.namespace
    and t.object = gone.object
    and t.relation = gone.relation
    and t.subject_id is not distinct from gone.subject_id
    and t.subject_namespace is not distinct from gone.subject_namespace
    and t.subject_object is not distinct from gone.subject_object
    and t.subject_relation is not distinct from gone.subject_relation
