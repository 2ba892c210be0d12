-- The diary: agents, entries with their history, shares, and the state of their permissions.

create schema diary;

create table diary.agent (
    name text not null,
    created_at timestamptz not null default now(),
    constraint agent_pkey primary key (name),
    constraint agent_name_is_valid check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);

-- Who belongs to a group is known to the permission backend alone.
create table diary.agent_group (
    name text not null,
    created_at timestamptz not null default now(),
    constraint agent_group_pkey primary key (name),
    constraint agent_group_name_is_valid check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);

create table diary.entry (
    id uuid not null,
    key text,
    owner text not null,
    author text not null,
    session text,
    type text not null,
    title text,
    content text not null,
    tags text [] not null,
    importance double precision not null,
    supersedes uuid,
    -- The key that an imported file says it supersedes; linked once that entry is there.
    source_key text,
    -- What an imported file said, so that it can be recognised and given back.
    source_hash text,
    front_matter text,
    version bigint not null default 1,
    date timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    content_hash text not null,
    constraint entry_pkey primary key (id),
    constraint entry_owner_exists foreign key (owner) references diary.agent (name),
    constraint entry_key_is_unique_per_owner unique (owner, key),
    constraint entry_supersedes_exists foreign key (supersedes)
    references diary.entry (id) on delete set null,
    constraint entry_is_superseded_once unique (supersedes)
);
create index entry_by_owner_and_date on diary.entry (owner, date desc, id);
create index entry_by_tag on diary.entry using gin (tags);
create index entry_by_unlinked_source_key on diary.entry (owner, source_key)
where source_key is not null and supersedes is null;

-- Earlier versions of an entry; they go when the entry goes.
create table diary.entry_version (
    entry_id uuid not null,
    version bigint not null,
    type text not null,
    title text,
    content text not null,
    tags text [] not null,
    importance double precision not null,
    content_hash text not null,
    updated_at timestamptz not null,
    constraint entry_version_pkey primary key (entry_id, version),
    constraint entry_version_entry_exists foreign key (entry_id)
    references diary.entry (id) on delete cascade
);

-- How far the permission backend agrees with an entry's rows. It outlives a deleted entry, as a
-- tombstone of ids, until the backend has forgotten the entry too.
create table diary.entry_permission (
    entry_id uuid not null,
    owner text not null,
    generation bigint not null default 1,
    applied_generation bigint not null default 0,
    changed_at timestamptz not null default now(),
    deleted_at timestamptz,
    refusal text,
    constraint entry_permission_pkey primary key (entry_id)
);
create index entry_permission_pending on diary.entry_permission (changed_at)
where applied_generation < generation;

create table diary.share (
    entry_id uuid not null,
    grantee text not null,
    granted_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    note text,
    constraint share_pkey primary key (entry_id, grantee),
    constraint share_entry_exists foreign key (entry_id)
    references diary.entry (id) on delete cascade
);
create index share_by_grantee on diary.share (grantee, entry_id);
create index share_by_giver on diary.share (granted_by, created_at, entry_id, grantee);
create index share_by_expiry on diary.share (expires_at) where expires_at is not null;

-- Create calls that were answered, so that a repeated one gets the same answer.
create table diary.create_request (
    agent text not null,
    idempotency_key text not null,
    arguments_hash text not null,
    entry_id uuid not null,
    created_at timestamptz not null default now(),
    constraint create_request_pkey primary key (agent, idempotency_key)
);
create index create_request_by_age on diary.create_request (created_at);

-- The embedded permission backend's relation tuples.
create table diary.relation_tuple (
    namespace text not null,
    object text not null,
    relation text not null,
    subject_id text,
    subject_namespace text,
    subject_object text,
    subject_relation text,
    constraint relation_tuple_is_unique unique nulls not distinct (
        namespace, object, relation, subject_id,
        subject_namespace, subject_object, subject_relation
    ),
    constraint relation_tuple_has_one_subject check (
        (subject_id is null) = (subject_namespace is not null)
        and num_nulls(subject_namespace, subject_object, subject_relation) in (0, 3)
    )
);
create index relation_tuple_by_subject_id on diary.relation_tuple (subject_id, namespace, relation)
where subject_id is not null;
create index relation_tuple_by_subject_set
on diary.relation_tuple (subject_namespace, subject_object, subject_relation, namespace, relation)
where subject_id is null;
