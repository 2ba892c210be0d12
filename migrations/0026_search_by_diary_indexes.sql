-- By itself, so that everybody goes on reading meanwhile.

update diary.search_document as document
set diary_id = e.diary_id
from diary.entry as e
where e.id = document.entry_id and e.diary_id is not null;

create index search_document_by_diary on diary.search_document (diary_id, owner)
include (entry_id, revision)
where diary_id is not null;
-- Which entries of a diary are superseded, without looking at each.
create index entry_superseded_in_diary on diary.entry (diary_id, superseded_by, id)
where superseded_by is not null and diary_id is not null;
