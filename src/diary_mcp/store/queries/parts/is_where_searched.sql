-- Whether an entry `e` is in the diary that is searched as a whole, or else among the caller's own
-- that are searched.
case
    when %(whole)s::uuid is null
        then
            e.owner = %(caller)s
            and diary.lies_in(e.diary_id, e.owner, %(diary)s, %(main_of)s)
    else e.diary_id = %(whole)s
end
