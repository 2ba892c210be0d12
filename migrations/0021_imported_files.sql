-- Which file an entry was imported from, so that another one of the same name in another folder is
-- another entry; and the folders that were exported to, whose files stand for the entries.
alter table diary.entry add column source_path text;

create table diary.exported_folder (
    owner text not null,
    path text not null,
    exported_at timestamptz not null,
    constraint exported_folder_pkey primary key (owner, path)
);
