import pytest

from diary_mcp.domain.fields import AgentName
from diary_mcp.server.caller import Caller
from diary_mcp.web.signing_in import LinkDoor, csrf_token, is_csrf_token

pytestmark = pytest.mark.anyio
ALICE = Caller(AgentName("alice"))


async def test_a_link_lets_one_browser_in_once() -> None:
    door = LinkDoor(ALICE)

    cookie = await door.exchange(door.secret)

    assert cookie is not None
    assert await door.identify(cookie) == ALICE
    assert await door.exchange(door.secret) is None
    assert await door.identify(cookie) == ALICE


@pytest.mark.parametrize("guess", ["", "x", "é", "\udcff"], ids=ascii)
async def test_a_guess_opens_nothing_and_uses_nothing_up(guess: str) -> None:
    door = LinkDoor(ALICE)

    assert await door.exchange(guess) is None
    assert await door.identify(guess) is None
    assert await door.exchange(door.secret) is not None
    assert await door.identify(guess) is None


def test_a_door_does_not_show_its_secret() -> None:
    door = LinkDoor(ALICE)

    assert door.secret not in repr(door)


def test_a_form_of_one_sign_in_is_no_form_of_another() -> None:
    assert is_csrf_token(csrf_token("one"), "one")
    assert not is_csrf_token(csrf_token("one"), "other")
    assert not is_csrf_token("", "one")
