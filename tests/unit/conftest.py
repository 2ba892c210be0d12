import threading

import pytest

OF_DBOS = ("dbos-destroy", "queue-worker-")


@pytest.fixture(autouse=True, scope="module")
def what_ended_before_has_ended() -> None:
    """Hypothesis takes random numbers that another thread draws for its own example's."""
    for thread in threading.enumerate():
        if thread.name.startswith(OF_DBOS):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} of an earlier test still runs."
