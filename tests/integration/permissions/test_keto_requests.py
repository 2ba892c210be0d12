"""What is sent to Keto, and how often: batches, pages, patches."""

import asyncio
from uuid import UUID

import anyio
import pytest
from pydantic import BaseModel

from diary_mcp.domain.errors import PermissionBackendUnavailableError
from diary_mcp.domain.fields import AgentName, EntryId, Grantee
from diary_mcp.domain.relations import owner_tuple, viewer_tuple
from diary_mcp.permissions.keto import KetoPermissions, open_keto
from support.fake_keto import FakeKeto, Reply, Request, reply
from support.keto_config import PATIENCE_S

pytestmark = pytest.mark.anyio

ANN = AgentName("ann")
ENTRY = EntryId(UUID(int=1))
CHECK = "/relation-tuples/check/openapi"
BATCH = "/relation-tuples/batch/check"
LIST = "/relation-tuples"
PATCH = "/admin/relation-tuples"


async def test_a_difference_is_one_patch_with_inserts_first(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    await keto.patch(
        insert=[owner_tuple(ENTRY, ANN)], delete=[viewer_tuple(ENTRY, Grantee("group:team"))]
    )

    sent = [request.json for request in fake.requests if request.path == PATCH]
    entry = {"namespace": "DiaryEntry", "object": str(ENTRY)}
    team = {"namespace": "Group", "object": "team", "relation": "member"}
    assert sent == [
        [
            {
                "action": "insert",
                "relation_tuple": {**entry, "relation": "owner", "subject_id": "ann"},
            },
            {
                "action": "delete",
                "relation_tuple": {**entry, "relation": "viewer", "subject_set": team},
            },
        ]
    ]


async def test_the_namespaces_are_not_asked_for_every_time(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    for _ in range(3):
        await keto.check_view(ANN, [ENTRY])

    assert fake.count("/namespaces") == 1
    await keto.check_ready()
    assert fake.count("/namespaces") == 2


async def test_at_most_four_checks_are_under_way_at_once(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    four = asyncio.Barrier(4)

    async def answer_four_together(_request: Request) -> Reply:
        await four.wait()
        for _ in range(50):  # a fifth would come meanwhile
            await asyncio.sleep(0)
        return reply(200, {"allowed": True})

    fake.answers[CHECK] = answer_four_together
    entries = {EntryId(UUID(int=number)) for number in range(40)}

    with anyio.fail_after(60):
        assert await keto.check_view(ANN, entries) == entries
    assert fake.most_at_once == 4


async def test_a_server_without_batches_is_asked_for_one_only_at_first(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    entries = {EntryId(UUID(int=number)) for number in range(10)}

    for _ in range(3):
        await keto.check_view(ANN, entries)

    assert fake.count(BATCH) == 1
    assert fake.count(CHECK) == 30


class Asked(BaseModel):
    object: UUID


class BatchAsked(BaseModel):
    tuples: list[Asked]


async def allow_even_ids(request: Request) -> Reply:
    asked = BatchAsked.model_validate_json(request.body).tuples
    return reply(200, {"results": [{"allowed": each.object.int % 2 == 0} for each in asked]})


async def test_a_server_with_batches_is_asked_in_tens(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    fake.answers[BATCH] = allow_even_ids
    entries = [EntryId(UUID(int=number)) for number in range(120)]

    assert await keto.check_view(ANN, entries) == set(entries[::2])
    assert (fake.count(BATCH), fake.count(CHECK)) == (12, 0)


async def test_what_a_batch_cannot_answer_is_asked_alone(
    fake: FakeKeto, keto: KetoPermissions
) -> None:
    results = [{"allowed": True}, {"allowed": False, "error": "max depth"}, {"allowed": False}]
    fake.always(BATCH, reply(200, {"results": results}))
    fake.always(CHECK, reply(200, {"allowed": True}))
    entries = [EntryId(UUID(int=number)) for number in range(3)]

    assert await keto.check_view(ANN, entries) == set(entries[:2])
    assert fake.count(CHECK) == 1


@pytest.mark.parametrize(
    "results",
    [[{"allowed": True}], [{"allowed": True}] * 3, [{"allowed": 1}, {"allowed": 1}], None],
    ids=["too few", "too many", "not booleans", "none"],
)
async def test_a_batch_that_does_not_fit_its_questions_is_an_outage(
    fake: FakeKeto, keto: KetoPermissions, results: object
) -> None:
    fake.always(BATCH, reply(200, {"results": results}))

    with pytest.raises(PermissionBackendUnavailableError):
        await keto.check_view(ANN, [EntryId(UUID(int=1)), EntryId(UUID(int=2))])


async def test_all_pages_are_read(fake: FakeKeto, keto: KetoPermissions) -> None:
    async def answer_page(request: Request) -> Reply:
        number = int(request.query.get("page_token", "0"))
        return reply(
            200,
            {
                "relation_tuples": [
                    {
                        "namespace": "DiaryEntry",
                        "object": str(ENTRY),
                        "relation": "viewer",
                        "subject_id": f"agent-{number}",
                    }
                ],
                "next_page_token": str(number + 1) if number < 4 else "",
            },
        )

    fake.answers[LIST] = answer_page

    listed = await keto.list_entry_tuples([ENTRY])

    assert listed == {viewer_tuple(ENTRY, Grantee(f"agent-{number}")) for number in range(5)}
    asked = [request.query for request in fake.requests if request.path == LIST]
    assert all(query["object"] == str(ENTRY) for query in asked)


async def test_a_proxy_in_the_environment_is_not_asked(
    fake: FakeKeto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async with open_keto(fake.url, fake.url, timeout_s=PATIENCE_S) as keto:
        await keto.check_ready()
