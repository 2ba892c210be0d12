"""Bad input over stdio, in both protocol eras: refused by name, and the server lives on."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from support.clients import Answer, Json, ProtocolError, RawClient, answer_of
from support.ground_truth import ask
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")

ENTRY = "01a209f7-3236-76fc-9537-63feee86b6c8"
# What each tool needs at least.
LEAST: dict[str, Json] = {
    "diary_create": {"content": "x"},
    "diary_get": {"entry_id": ENTRY},
    "diary_list": {},
    "diary_search": {"query": "x"},
    "diary_update": {"entry_id": ENTRY, "expected_version": 1, "content": "x"},
    "diary_delete": {"entry_id": ENTRY},
    "diary_share": {"entry_id": ENTRY, "with": "bob"},
    "diary_unshare": {"entry_id": ENTRY, "with": "bob"},
    "diary_shares": {},
    "diary_tags": {},
    "diary_whoami": {},
}
# Values that a field of each JSON type must not take.
OTHERS: dict[str, list[object]] = {
    "string": [7, True, ["x"], {"x": 1}],
    "integer": ["7", 1.5, True, [1], {"x": 1}],
    "number": ["0.5", True, [0.5], {"x": 1}],
    "boolean": ["true", 1, ["x"]],
    "array": ["x", 7, {"x": 1}, [7], [None], [["x"]]],
}
UNSTORABLE = {"NUL": "x\0y", "lone surrogate": "x\ud800y", "reversed pair": "\udc00\ud800"}
FILTERS: list[tuple[Json, str]] = [
    ({"scope": "theirs"}, "scope"),
    ({"types": ["novel"]}, "types"),
    ({"tags": [""]}, "tags"),
    ({"tags": ["t" * 65]}, "tags"),
    ({"tags": [str(number) for number in range(21)]}, "tags"),
    ({"since": "one fine day"}, "since"),
    ({"until": "2026-13-01"}, "until"),
    ({"min_importance": 1.5}, "min_importance"),
    ({"limit": 0}, "limit"),
    ({"cursor": "x" * 1_001}, "cursor"),
]
BEYOND: list[tuple[str, Json, str]] = [
    ("diary_create", {"content": ""}, "content"),
    ("diary_create", {"content": "x" * 100_001}, "content"),
    ("diary_create", {"title": "t" * 201}, "title"),
    ("diary_create", {"type": "novel"}, "type"),
    ("diary_create", {"tags": [str(number) for number in range(21)]}, "tags"),
    ("diary_create", {"tags": [""]}, "tags"),
    ("diary_create", {"tags": ["t" * 65]}, "tags"),
    ("diary_create", {"importance": -0.1}, "importance"),
    ("diary_create", {"importance": 1.1}, "importance"),
    ("diary_create", {"importance": 1e308}, "importance"),
    ("diary_create", {"date": "one fine day"}, "date"),
    ("diary_create", {"date": "2026-02-30"}, "date"),
    ("diary_create", {"date": "9999-12-31T23:59:59-23:59"}, "date"),
    ("diary_get", {"entry_id": ""}, "entry_id"),
    ("diary_update", {"expected_version": 0}, "expected_version"),
    ("diary_update", {"expected_version": 1e30}, "expected_version"),
    ("diary_update", {"content": "x" * 100_001}, "content"),
    ("diary_update", {"title": "t" * 201}, "title"),
    ("diary_search", {"query": ""}, "query"),
    ("diary_search", {"query": "x" * 1_001}, "query"),
    ("diary_search", {"mode": "psychic"}, "mode"),
    ("diary_search", {"limit": 51}, "limit"),
    ("diary_list", {"limit": 101}, "limit"),
    ("diary_list", {"limit": -1}, "limit"),
    ("diary_shares", {"limit": 0}, "limit"),
    ("diary_tags", {"limit": 0}, "limit"),
    *(("diary_list", arguments, name) for arguments, name in FILTERS),
    *(("diary_search", arguments, name) for arguments, name in FILTERS),
]


def answers(site: Deployment, tool: str, /, **arguments: object) -> list[Answer]:
    """What the tool answers in each era."""
    calls = [client.start_call(tool, **arguments) for client in site.of_each_era]
    return [answer_of(call) for call in calls]


def refuses(site: Deployment, tool: str, arguments: Json, name: str) -> None:
    """The tool refuses the arguments and names the one that is wrong, in each era."""
    for answer in answers(site, tool, **arguments):
        assert (answer.code, name in answer.text) == ("invalid_argument", True), (arguments, answer)


def types(schema: Json) -> list[str]:
    told: str | list[str] = schema["type"]
    return [told] if isinstance(told, str) else told


def others(schema: Json) -> list[object]:
    """Values that are of none of the types that the schema takes."""
    first, *more = types(schema)
    return [each for each in OTHERS[first] if all(each in OTHERS[other] for other in more)]


@pytest.mark.parametrize("tool", LEAST)
def test_a_wrong_type_is_refused_by_name(site: Deployment, tool: str) -> None:
    properties = site.tools()[tool]["inputSchema"]["properties"]

    for name, schema in properties.items():
        for wrong in others(schema):
            refuses(site, tool, {**LEAST[tool], name: wrong}, name)


@pytest.mark.parametrize("tool", LEAST)
@pytest.mark.parametrize("what", UNSTORABLE)
def test_what_cannot_be_stored_is_refused_in_every_string(
    site: Deployment, tool: str, what: str
) -> None:
    properties = site.tools()[tool]["inputSchema"]["properties"]
    wrong = UNSTORABLE[what]

    for name, schema in properties.items():
        if "string" in types(schema):
            refuses(site, tool, {**LEAST[tool], name: wrong}, name)
        if "array" in types(schema):
            refuses(site, tool, {**LEAST[tool], name: [wrong]}, name)


@pytest.mark.parametrize("tool", LEAST)
def test_an_unknown_argument_is_refused_by_name(site: Deployment, tool: str) -> None:
    for name in ("nonsense", "x\0y", "x\ud800y", "", "__class__"):
        printable = name if name.isascii() and name.isprintable() else ""
        refuses(site, tool, {**LEAST[tool], name: 1}, printable)


@pytest.mark.parametrize("tool", [tool for tool, least in LEAST.items() if least])
def test_a_missing_argument_is_refused_by_name(site: Deployment, tool: str) -> None:
    required = site.tools()[tool]["inputSchema"]["required"]

    for name in required:
        rest = {other: value for other, value in LEAST[tool].items() if other != name}
        refuses(site, tool, rest, name)
        refuses(site, tool, {**rest, name: None}, name)


def test_what_is_beyond_the_limits_is_refused_by_name_and_leaves_nothing_half_written(
    site: Deployment,
) -> None:
    # Without the workflows that the sweep adds: their ids have a fourth part.
    counts = (
        "select (select count(*) from diary.entry), (select count(*) from dbos.workflow_status"
        " where queue_name = 'permissions' and split_part(workflow_uuid, ':', 4) = '')"
    )
    before = ask(site.url, counts)

    for tool, arguments, name in BEYOND:
        refuses(site, tool, {**LEAST[tool], **arguments}, name)

    assert ask(site.url, counts) == before


@pytest.fixture(params=["older era", "newer era"])
def client(request: pytest.FixtureRequest, site: Deployment) -> RawClient:
    """A client of alice's, in each era."""
    return site.alice if request.param == "older era" else site.alice_elsewhere


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 400])
def test_a_number_beyond_all_numbers_is_refused(client: RawClient, number: bytes) -> None:
    answer = answer_of(
        client.start_raw_call("diary_create", b'{"content": "x", "importance": %s}' % number)
    )

    assert answer.code == "invalid_argument"
    assert "importance" in answer.text


UNANSWERED = [
    b"\n",
    b'{"jsonrpc": "2.0", "method": "tools/call"}\n',
    b'{"jsonrpc": "2.0", "method": "notifications/nonsense"}\n',
]


@pytest.mark.parametrize("line", UNANSWERED, ids=lambda line: repr(line[:40]))
def test_a_line_that_nobody_waits_for_is_not_answered(client: RawClient, line: bytes) -> None:
    before = len(client.refusals)

    client.send_bytes(line)

    client.wait_until_up()
    assert client.refusals[before:] == []


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b"\xff\xfe\x00\n",
        b'{"jsonrpc": "2.0"\n',
        b'{"jsonrpc": "1.0", "id": "mine", "method": "tools/list"}\n',
        b"[" * 100_000 + b"\n",
        b'"' + b"x" * 5_000_000 + b'"\n',
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_line_that_is_no_request_is_refused_and_ends_nothing(
    client: RawClient, line: bytes
) -> None:
    before = len(client.refusals)

    client.send_bytes(line)

    client.wait_until_up()
    (refusal,) = client.refusals[before:]
    assert refusal["id"] == ("mine" if b'"mine"' in line else None)


@pytest.mark.parametrize("content", [rb"\xff", rb"\xc0\x80", rb"\xed\xa0\x80"])
def test_bytes_that_are_no_utf_8_are_refused(client: RawClient, content: bytes) -> None:
    arguments = b'{"content": "%s"}' % content.decode("unicode_escape").encode("latin-1")

    answer = answer_of(client.start_raw_call("diary_create", arguments))

    assert answer.code == "invalid_argument"
    assert "content" in answer.text


def test_an_argument_that_is_given_twice_is_named_and_nothing_is_written(client: RawClient) -> None:
    first, second = uuid4().hex, uuid4().hex

    answer = answer_of(
        client.start_raw_call(
            "diary_create",
            b'{"content": "%s", "content": "%s"}' % (first.encode(), second.encode()),
        )
    )

    assert answer.code == "invalid_argument"
    assert "content must be given once" in answer.text
    listed = client.call("diary_list", limit=10).data["entries"]
    assert not any(entry["snippet"] in {first, second} for entry in listed)


@pytest.mark.parametrize("name", ["nonsense", "", "diary_create ", "x\0y", "x\ud800y", "__init__"])
def test_an_unknown_tool_is_told(client: RawClient, name: str) -> None:
    answer = answer_of(client.request("tools/call", {"name": name, "arguments": {}}))

    assert answer.is_error
    assert "diary_create" in answer.text


def test_an_unknown_method_is_a_protocol_error(client: RawClient) -> None:
    with pytest.raises(ProtocolError) as told:
        client.request("nonsense/method").result(30)

    assert told.value.code == -32601


def test_arguments_that_are_no_object_are_refused(client: RawClient) -> None:
    for arguments in (b"[1]", b'"x"', b"7"):
        with pytest.raises(ProtocolError):
            client.start_raw_call("diary_list", arguments).result(30)


def test_no_arguments_at_all_are_none(client: RawClient) -> None:
    assert answer_of(client.request("tools/call", {"name": "diary_whoami"})).code == "ok"


@pytest.mark.parametrize("more", [{}, {"_meta": {"progressToken": 7}}], ids=["plain", "meta"])
@pytest.mark.parametrize(
    "call",
    [
        {"name": "diary_list", "arguments": {"limit": 3}},
        {"name": "diary_whoami"},
        {"name": "diary_get", "arguments": {"entry_id": ENTRY}},
        {"name": "diary_get", "arguments": {"id": ENTRY}},
    ],
    ids=lambda call: f"{call['name']} {call.get('arguments')}",
)
def test_what_is_answered_without_the_sdk_is_what_it_would_answer(
    client: RawClient, call: Json, more: Json
) -> None:
    # What it alone may know what to do with is left to it.
    by_the_sdk = client.request("tools/call", {**call, "unknown": 1, **more}).result(30)

    assert client.request("tools/call", {**call, **more}).result(30) == by_the_sdk


@pytest.mark.parametrize("meta", [7, [1], {"progressToken": {}}], ids=str)
def test_a_call_with_a_meta_that_is_none_is_refused(site: Deployment, meta: object) -> None:
    with pytest.raises(ProtocolError) as told:
        site.alice.request("tools/call", {"name": "diary_whoami", "_meta": meta}).result(30)

    assert told.value.code == -32602


def test_a_session_with_a_handshake_takes_no_request_of_the_era_without(site: Deployment) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}

    with pytest.raises(ProtocolError) as told:
        site.alice.request("tools/list", {"_meta": meta}).result(30)

    assert told.value.code == -32600
    assert site.alice.request("tools/list").result(30)["tools"]


def test_null_counts_as_left_out(site: Deployment) -> None:
    created = site.alice.create(title=None, tags=None, importance=None, date=None)

    read = site.alice.call("diary_get", entry_id=created["id"]).data
    assert not {"title", "tags", "importance"} & read.keys()
    assert created["date"][:4] == str(datetime.now(UTC).year)


def test_an_empty_string_counts_as_left_out_where_an_argument_is_optional(
    site: Deployment,
) -> None:
    optional = ("title", "type", "tags", "importance", "supersedes", "date", "author", "session")
    created = site.alice.create("x", **dict.fromkeys((*optional, "key", "idempotency_key"), ""))

    read = site.alice.call("diary_get", entry_id=created["id"], version="", **{"from": ""}).data

    assert not {"title", "tags", "importance", "supersedes", "author", "key"} & read.keys()
    listed = {"scope": "", "types": "", "since": "", "cursor": "", "limit": ""}
    assert site.alice.call("diary_list", **listed).code == "ok"
    assert site.alice.call("diary_create", content="").code == "invalid_argument"
    assert "content" in site.alice.call("diary_create", content="").text


@pytest.mark.parametrize("content", [" ", "\n\t\r\n", "\u2003\u00a0"])
def test_white_space_alone_is_no_content(site: Deployment, content: str) -> None:
    created = site.alice.create()

    update = {"entry_id": created["id"], "expected_version": 1, "content": content}
    refused = [
        *answers(site, "diary_create", content=content),
        *answers(site, "diary_update", **update),
    ]

    assert [answer.code for answer in refused] == ["invalid_argument"] * 4


@pytest.mark.parametrize(
    ("tool", "given", "meant"),
    [
        ("diary_create", "text", "content"),
        ("diary_create", "tag", "tags"),
        ("diary_get", "id", "entry_id"),
        ("diary_get", "offset", "from"),
        ("diary_search", "q", "query"),
        ("diary_list", "page_size", "limit"),
        ("diary_share", "grantee", "with"),
    ],
)
def test_an_unknown_argument_is_told_with_the_one_that_was_meant(
    site: Deployment, tool: str, given: str, meant: str
) -> None:
    for answer in answers(site, tool, **{given: "x"}):
        assert answer.code == "invalid_argument"
        assert f"unknown argument '{given}'; you probably mean {meant}" in answer.text
