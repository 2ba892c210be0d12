-- Chains of signed links, one for each owner (docs/signing.md). Links outlive their entries: they
-- hold hashes only, and the salt that would let a deleted entry be guessed goes with the entry.

create table diary.link (
    owner text not null,
    sequence bigint not null,
    hash text not null,
    -- The signed bytes. The columns below repeat some of it, for finding links.
    statement text not null,
    signature text not null,
    act text not null,
    entry_id uuid,
    version bigint,
    supersedes uuid,
    salt text,
    constraint link_pkey primary key (owner, sequence)
);
create index link_by_entry on diary.link (owner, entry_id, sequence) where entry_id is not null;

-- Where a chain ends, and who may sign its next link; locked by whoever adds one.
create table diary.chain_head (
    owner text not null,
    sequence bigint not null default 0,
    hash text,
    signed_at timestamptz,
    valid_keys text [] not null default '{}',
    -- Every key that was ever valid, so that none is admitted again.
    known_keys text [] not null default '{}',
    constraint chain_head_pkey primary key (owner)
);

-- What an imported file said of its own signature; goes with the entry.
create table diary.entry_origin (
    entry_id uuid not null,
    version bigint not null,
    proof text not null,
    constraint entry_origin_pkey primary key (entry_id),
    constraint entry_origin_entry_exists foreign key (entry_id)
    references diary.entry (id) on delete cascade
);

-- Statements that wait for a signature from outside; one for each thing to be signed.
create table diary.signature_request (
    id uuid not null,
    owner text not null,
    -- The entry, or the key that is to be admitted or revoked.
    subject text not null,
    statement text not null,
    salt text,
    expires_at timestamptz not null,
    constraint signature_request_pkey primary key (id),
    constraint signature_request_is_the_only_one unique (owner, subject)
);

alter table diary.entry
-- Whether the present version is to be signed: without a link it is pending, not unsigned.
add column wants_signature boolean not null default false,
-- The version that an import made last.
add column imported_version bigint;

-- What an import may change too, so that a version in the history can be checked whole.
alter table diary.entry_version
add column author text,
add column session text,
add column date timestamptz;

-- Signed is a version whose last link says the same version and supersedes the same entry.
create function diary.signature_view(
    entry_id uuid, owner text, version bigint, supersedes uuid, wants_signature boolean
) returns table (signature jsonb)
language sql stable parallel safe
begin atomic
select
    case
        when last.hash is not null then jsonb_build_object(
            'state', 'signed',
            'key', last.statement::jsonb ->> 'key',
            'signed_at', last.statement::jsonb ->> 'time',
            'link', last.hash
        )
        when wants_signature then jsonb_build_object('state', 'pending')
        else jsonb_build_object('state', 'none')
    end
from (values (true)) as entry (is_there)
left join lateral (
    select l.hash, l.statement, l.act, l.version, l.supersedes
    from diary.link as l
    where l.owner = signature_view.owner and l.entry_id = signature_view.entry_id
    order by l.sequence desc
    limit 1
) as last on (
    last.act <> 'delete'
    and last.version = signature_view.version
    and (
        signature_view.supersedes is null
        or last.supersedes is not distinct from signature_view.supersedes
    )
);
end;
