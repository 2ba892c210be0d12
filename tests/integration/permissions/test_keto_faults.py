"""A Keto that misbehaves: typed errors in time, and never a yes or a no that it did not say."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import anyio
import pytest

from diary_mcp.domain.errors import PermissionBackendUnavailableError, PermissionRefusedError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee, GroupName
from diary_mcp.domain.relations import owner_tuple
from diary_mcp.permissions.keto import KetoPermissions, open_keto
from support.fake_keto import FakeKeto, Reply, Request, namespaces, reply
from support.keto_config import PATIENCE_S

pytestmark = pytest.mark.anyio

ANN = AgentName("ann")
TEAM = GroupName("team")
ENTRY = EntryId(UUID(int=1))
CHECK = "/relation-tuples/check/openapi"
LIST = "/relation-tuples"
PATCH = "/admin/relation-tuples"
SECRET = "postgres://keto:sesame@10.0.0.7"
TIMEOUT_S = 0.3


def impatient_keto(url: str) -> AbstractAsyncContextManager[KetoPermissions]:
    return open_keto(url, url, timeout_s=TIMEOUT_S)


def patch(keto: KetoPermissions) -> Awaitable[None]:
    return keto.patch(insert=[owner_tuple(ENTRY, ANN)], delete=())


async def scan(keto: KetoPermissions) -> None:
    async for _ in keto.scan_tuples():
        pass


Asking = Callable[[KetoPermissions], Awaitable[object]]

ASK: dict[str, tuple[str, Asking]] = {
    "check_view": (CHECK, lambda keto: keto.check_view(ANN, [ENTRY])),
    "list_groups": (LIST, lambda keto: keto.list_groups(ANN)),
    "list_entry_tuples": (LIST, lambda keto: keto.list_entry_tuples([ENTRY])),
    "list_members": (LIST, lambda keto: keto.list_members(TEAM)),
    "scan_tuples": (LIST, scan),
    "patch": (PATCH, patch),
    "add": (PATCH, lambda keto: keto.add(TEAM, Grantee("ann"))),
    "remove": (LIST, lambda keto: keto.remove(TEAM, Grantee("ann"))),
    "check_ready": ("/namespaces", lambda keto: keto.check_ready()),
}
FAULTS = {
    "stalls": Reply(b"", "stall"),
    "stalls in the middle": Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"al', "stall"),
    "resets in the middle": Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"al', "reset"),
    "closes in the middle": Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"al', "close"),
    "closes without an answer": Reply(b"", "close"),
    "speaks another protocol": Reply(b"220 mail.example.org ESMTP\r\n", "close"),
    "500": reply(500, {"error": {"code": 500, "message": SECRET}}),
    "502": reply(502, "<html>Bad Gateway</html>"),
    "503": reply(503, ""),
    "429": reply(429, {"error": {"code": 429, "message": SECRET}}),
    "401": reply(401, "who are you?"),
    "301": reply(301, ""),
}
NONSENSE = {
    "200 with text": reply(200, "<html>Welcome</html>"),
    "200 with nothing": reply(200, ""),
    "200 with null": reply(200, None),
    "200 with another object": reply(200, {"status": "ok"}),
    "200 with text for yes": reply(200, {"allowed": "true", "relation_tuples": "all"}),
    "200 with another's tuples": reply(
        200,
        {
            "relation_tuples": [
                {"namespace": "Other", "object": "x", "relation": "y", "subject_id": "ann"}
            ]
        },
    ),
    "200 with half a tuple": reply(
        200, {"relation_tuples": [{"namespace": "DiaryEntry", "object": "x", "relation": "y"}]}
    ),
    "422": reply(422, {"error": {"code": 422, "message": SECRET}}),
}


@pytest.mark.parametrize("asking", ASK.values(), ids=ASK)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_an_outage_told_in_time(
    fake: FakeKeto, asking: tuple[str, Asking], fault: Reply
) -> None:
    path, ask = asking
    fake.always(path, fault)

    async with impatient_keto(fake.url) as keto:
        with anyio.fail_after(60), pytest.raises(PermissionBackendUnavailableError) as caught:
            await ask(keto)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "asking", [case for case in ASK.values() if case[0] != PATCH], ids=lambda case: case[0]
)
@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_an_outage(
    fake: FakeKeto, keto: KetoPermissions, asking: tuple[str, Asking], nonsense: Reply
) -> None:
    path, ask = asking
    fake.always(path, nonsense)

    with pytest.raises(PermissionBackendUnavailableError) as caught:
        await ask(keto)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("asking", ASK.values(), ids=ASK)
async def test_nobody_listening_is_an_outage(asking: tuple[str, Asking]) -> None:
    _, ask = asking

    async with impatient_keto("http://127.0.0.1:1") as keto:
        with anyio.fail_after(60), pytest.raises(PermissionBackendUnavailableError):
            await ask(keto)


async def test_a_question_has_two_seconds_in_all(fake: FakeKeto) -> None:
    async def answer_late(_request: Request) -> Reply:
        await anyio.sleep(0.8)
        return reply(200, {"allowed": True})

    fake.answers[CHECK] = answer_late
    entries = [EntryId(UUID(int=number)) for number in range(1, 41)]

    async with open_keto(fake.url, fake.url) as keto:
        with pytest.raises(PermissionBackendUnavailableError):
            await keto.check_view(ANN, entries)

    # Eight seconds would be needed for all, and none takes two.
    assert fake.count(CHECK) < len(entries)


async def test_an_answer_without_end_is_an_outage(fake: FakeKeto, keto: KetoPermissions) -> None:
    fake.always(CHECK, reply(200, {"allowed": True, "padding": "x" * (5 << 20)}))

    with pytest.raises(PermissionBackendUnavailableError, match="too large"):
        await keto.check_view(ANN, [ENTRY])


@pytest.mark.parametrize("answer", [reply(403, {"allowed": False}), reply(200, {"allowed": False})])
async def test_a_denial_is_an_answer(fake: FakeKeto, keto: KetoPermissions, answer: Reply) -> None:
    fake.always(CHECK, answer)

    assert await keto.check_view(ANN, [ENTRY]) == set()


@pytest.mark.parametrize(
    "answer",
    [reply(403, {"allowed": True}), reply(403, "Forbidden"), reply(400, "Bad Request")],
    ids=["403 that allows", "a proxy's 403", "a proxy's 400"],
)
async def test_a_denial_that_is_not_keto_s_is_an_outage(
    fake: FakeKeto, keto: KetoPermissions, answer: Reply
) -> None:
    fake.always(CHECK, answer)

    with pytest.raises(PermissionBackendUnavailableError):
        await keto.check_view(ANN, [ENTRY])


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_what_keto_will_never_take_is_refused_without_its_words(
    fake: FakeKeto, keto: KetoPermissions, status: int
) -> None:
    fake.always(PATCH, reply(status, {"error": {"code": status, "message": SECRET}}))

    with pytest.raises(PermissionRefusedError) as caught:
        await patch(keto)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 405, 408, 425, 429, 500, 502, 503, 504, 302])
async def test_what_an_administrator_can_mend_is_an_outage(
    fake: FakeKeto, keto: KetoPermissions, status: int
) -> None:
    fake.always(PATCH, reply(status, ""))

    with pytest.raises(PermissionBackendUnavailableError):
        await patch(keto)


async def test_an_unknown_namespace_in_a_patch_is_refused_only_where_ours_are_there(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.always(PATCH, reply(404, {"error": {"code": 404, "message": SECRET}}))

    with pytest.raises(PermissionRefusedError):
        await patch(keto)

    fake.always("/namespaces", namespaces())
    with pytest.raises(PermissionBackendUnavailableError, match="namespaces"):
        await patch(keto)


async def test_a_patch_that_failed_after_it_was_applied_can_be_repeated(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    bodies: list[object] = []

    async def apply_and_fail(request: Request) -> Reply:
        bodies.append(request.json)
        return reply(502, "") if len(bodies) == 1 else reply(204, "")

    fake.answers[PATCH] = apply_and_fail

    with pytest.raises(PermissionBackendUnavailableError):
        await patch(keto)
    await patch(keto)

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("missing", ["Agent", "Group", "Diary", "DiaryEntry"])
async def test_a_keto_without_our_rules_is_an_outage_that_names_them(
    fake: FakeKeto, keto: KetoPermissions, missing: str
) -> None:
    others = {"Agent", "Group", "Diary", "DiaryEntry", "SomebodyElse"} - {missing}
    fake.always("/namespaces", namespaces(*others))
    fake.always(CHECK, reply(200, {"allowed": True}))

    with pytest.raises(PermissionBackendUnavailableError, match=missing):
        await keto.check_view(ANN, [ENTRY])

    assert fake.count(CHECK) == 0


async def test_a_write_api_that_is_down_is_not_ready(fake: FakeKeto) -> None:
    async with open_keto(fake.url, "http://127.0.0.1:1", timeout_s=PATIENCE_S) as keto:
        with pytest.raises(PermissionBackendUnavailableError, match="write API"):
            await keto.check_ready()


async def test_after_three_failures_questions_fail_without_being_asked(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.always(CHECK, reply(500, ""))

    for _ in range(5):
        with pytest.raises(PermissionBackendUnavailableError):
            await keto.check_view(ANN, [ENTRY])

    assert fake.count(CHECK) == 3
    # Writes go another way.
    await patch(keto)


async def test_questions_are_asked_again_when_keto_is_back(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.always(CHECK, reply(500, ""))
    for _ in range(3):
        with pytest.raises(PermissionBackendUnavailableError):
            await keto.check_view(ANN, [ENTRY])

    fake.always(CHECK, reply(200, {"allowed": True}))

    with anyio.fail_after(60):
        while not await answers(keto):  # noqa: ASYNC110  # nobody announces that time has passed
            await anyio.sleep(0.05)


async def answers(keto: KetoPermissions) -> bool:
    try:
        return await keto.check_view(ANN, [ENTRY]) == {ENTRY}
    except PermissionBackendUnavailableError:
        return False


async def test_an_entry_that_is_too_hard_for_keto_does_not_open_the_circuit(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.always(CHECK, reply(422, ""))

    for _ in range(5):
        with pytest.raises(PermissionBackendUnavailableError):
            await keto.check_view(ANN, [ENTRY])

    assert fake.count(CHECK) == 5


async def test_a_cancelled_question_leaves_the_next_one_unharmed(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.always(CHECK, Reply(b"", "stall"))
    with anyio.move_on_after(0.05) as scope:
        await keto.check_view(ANN, [ENTRY])
    assert scope.cancelled_caught

    fake.always(CHECK, reply(200, {"allowed": True}))

    assert await keto.check_view(ANN, [ENTRY]) == {ENTRY}
