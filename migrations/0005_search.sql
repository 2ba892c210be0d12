-- The search index: words and vectors of every entry, kept up to date by a workflow after the
-- commit. What it lacks, search reads from the entry itself.

-- One row for each entry, made with it. A null says that this part is still to be indexed.
create table diary.search_document (
    entry_id uuid not null,
    owner text not null,
    -- The entry's version; an index of another one is not written.
    version bigint not null default 1,
    words_by text collate "C",
    vectors_by text collate "C",
    words bigint not null default 0,
    length bigint not null default 0,
    asks boolean not null default false,
    -- All vectors of the entry, packed; empty where its text is.
    vectors bytea not null default '',
    constraint search_document_pkey primary key (entry_id),
    constraint search_document_entry_exists foreign key (entry_id)
    references diary.entry (id) on delete cascade
)
with (toast_tuple_target = 8160);
-- Bytes that look random do not compress.
alter table diary.search_document alter column vectors set storage external;
create index search_document_by_owner on diary.search_document (owner);
create index search_document_by_words on diary.search_document (words_by, entry_id);
create index search_document_by_vectors on diary.search_document (vectors_by, entry_id);

-- How often a term occurs in an entry. How many entries have it is counted when it is searched.
create table diary.posting (
    owner text collate "C" not null,
    term text collate "C" not null,
    entry_id uuid not null,
    count bigint not null,
    constraint posting_pkey primary key (owner, term, entry_id) include (count),
    constraint posting_document_exists foreign key (entry_id)
    references diary.search_document (entry_id) on delete cascade
);
create index posting_by_entry on diary.posting (entry_id);

-- Which entries of an owner are superseded, without looking at each.
create index entry_by_owner_and_supersedes on diary.entry (owner, supersedes)
where supersedes is not null;
