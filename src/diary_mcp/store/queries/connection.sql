-- name: set_session
-- For the rest of the session. By a statement and not by the start-up parameter `options`, which
-- poolers refuse.
select set_config(setting.name, setting.value, false)
from unnest(%(names)s::text [], %(values)s::text []) as setting (name, value)

-- name: backend
select pg_backend_pid()
