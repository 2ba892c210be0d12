-- By itself, so that everybody goes on reading meanwhile.

-- Which entries name no diary, without looking at each: with all of a large diary's, whoever searched
-- what others share had to go through all of them.
create index entry_to_place on diary.entry (owner, id) where diary_id is null;
