"""A queue that is polled more often than it is outside of tests, where its end is waited for."""

from support.ground_truth import ask

_HASTE = """\
create function public.hasten() returns trigger language plpgsql as $$
begin
    new.polling_interval_sec = 0.1;
    return new;
end $$;
-- Every process sets the queue as it starts, and reads it before every poll.
create trigger hastened before insert or update on dbos.queues
for each row when (new.name = 'diaries') execute function public.hasten();
update dbos.queues set polling_interval_sec = 0.1 where name = 'diaries';
"""


def poll_diaries_often(url: str) -> None:
    """What changes of diaries is settled at once, but their workflows come once a second."""
    ask(url, _HASTE)
