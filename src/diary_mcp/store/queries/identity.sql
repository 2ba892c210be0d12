-- name: get_cursor_key
select identity.cursor_key
from diary.identity
