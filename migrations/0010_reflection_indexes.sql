-- What reflection asks for in order or counts, without reading every entry of the owner.

create index entry_by_owner_and_type on diary.entry (owner, type, date desc, id);
create index entry_by_owner_and_importance
on diary.entry (owner, importance desc, date desc, id);
