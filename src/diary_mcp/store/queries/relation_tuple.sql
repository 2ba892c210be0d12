-- name: list_granted
-- Objects on which a tuple that the granting rules admit names the subject itself, or members that
-- the subject is among, at most max_depth sets away; where objects are given, only of these.
with recursive granting as (
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

admitted as (
    select
        rule.namespace,
        rule.relation,
        rule.subject_namespace,
        rule.subject_relation
    from unnest(
        %(membership_namespaces)s::text [],
        %(membership_relations)s::text [],
        %(membership_subject_namespaces)s::text [],
        %(membership_subject_relations)s::text []
    ) as rule (namespace, relation, subject_namespace, subject_relation)
),

membership (namespace, object, relation, depth) as (
    select
        t.namespace,
        t.object,
        t.relation,
        1
    from diary.relation_tuple as t
    inner join admitted as a
        on t.namespace = a.namespace
        and t.relation = a.relation
    where
        t.subject_id = %(subject)s
        and a.subject_namespace is null
    union
    select
        t.namespace,
        t.object,
        t.relation,
        m.depth + 1
    from membership as m
    inner join admitted as a
        on m.namespace = a.subject_namespace
        and m.relation = a.subject_relation
    inner join diary.relation_tuple as t
        on m.namespace = t.subject_namespace
        and m.object = t.subject_object
        and m.relation = t.subject_relation
        and a.namespace = t.namespace
        and a.relation = t.relation
    where m.depth < %(max_depth)s
)

select t.object
from diary.relation_tuple as t
inner join granting as g
    on t.namespace = g.namespace
    and t.relation = g.relation
where
    t.subject_id = %(subject)s
    and g.subject_namespace is null
    and (%(objects)s::text [] is null or t.object = any(%(objects)s::text []))
union
select t.object
from membership as m
inner join granting as g
    on m.namespace = g.subject_namespace
    and m.relation = g.subject_relation
inner join diary.relation_tuple as t
    on m.namespace = t.subject_namespace
    and m.object = t.subject_object
    and m.relation = t.subject_relation
    and g.namespace = t.namespace
    and g.relation = t.relation
where (%(objects)s::text [] is null or t.object = any(%(objects)s::text []))

-- name: list_tuples
-- Every tuple on one of the objects.
select
    t.namespace,
    t.object,
    t.relation,
    t.subject_id,
    t.subject_namespace,
    t.subject_object,
    t.subject_relation
from diary.relation_tuple as t
where
    t.namespace = %(namespace)s
    and t.object = any(%(objects)s::text [])

-- name: list_tuples_of_next_objects
-- The tuples on the next objects of a namespace, in the order of their names.
select
    t.namespace,
    t.object,
    t.relation,
    t.subject_id,
    t.subject_namespace,
    t.subject_object,
    t.subject_relation
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

-- name: list_containing
-- Objects of the namespace whose relation holds this subject set.
select distinct t.object
from diary.relation_tuple as t
where
    t.subject_namespace = %(subject_namespace)s
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
