-- By themselves, so that everybody goes on reading meanwhile.

create index search_document_by_owner_and_change on diary.search_document
(owner, changed_in, entry_id);
create index search_document_by_diary_and_change on diary.search_document
(diary_id, changed_in, entry_id)
where diary_id is not null;
