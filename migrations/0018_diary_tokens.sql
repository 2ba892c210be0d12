-- A token may be for one diary, and then it opens nothing else. It signs nobody in any more when
-- that diary is gone; a reference would take its row, which says when it was revoked, with it.

alter table diary.agent_token add column diary_id uuid;
