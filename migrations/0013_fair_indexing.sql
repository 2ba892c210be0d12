-- Who waits for words or vectors, and which of his entries is the newest: indexing takes turns among
-- the owners, so that nobody waits for another's backlog.

create index search_document_without_words on diary.search_document (owner, entry_id)
where words_by is null;
create index search_document_without_vectors on diary.search_document (owner, entry_id)
where vectors_by is null;
