"""Signing over HTTP, where the server holds no keys, and the commands on the agent's side."""

import json
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import anyio
import pytest

from diary_mcp.commands.sign_remotely import sign_entries
from diary_mcp.domain.errors import ConflictError, InvalidArgumentError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.settings import Settings
from support.clients import Answer, Json, environment
from support.commands import Done, run_command
from support.fork_server import complete_command
from support.ground_truth import ask, eventually
from support.http_servers import (
    HttpServer,
    bearer,
    call,
    http_server,
    issue_token,
    post,
    request_body,
)
from support.lying_proxy import lying_proxy

pytestmark = pytest.mark.xdist_group("signing")


@dataclass(frozen=True)
class Remote:
    """A server, an agent, and the machine on which its key is."""

    server: HttpServer
    url: str
    token: str
    data_dir: Path

    def tool(self, name: str, *, token: str | None = None, **arguments: object) -> Answer:
        return call(self.server, token or self.token, name, arguments)

    def run(
        self, *arguments: str, data_dir: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command on the agent's machine, as a process."""
        return complete_command(*arguments, env=self._settings(data_dir))

    def do(self, *arguments: str, data_dir: Path | None = None) -> Done:
        """A command on the agent's machine that is not refused, in this process."""
        return run_command(*arguments, settings=self._settings(data_dir))

    def _settings(self, data_dir: Path | None) -> dict[str, str]:
        settings = environment(
            agent="alice", database_url=self.url, data_dir=data_dir or self.data_dir
        )
        return settings | {"DIARY_MCP_TOKEN": self.token}

    @cached_property
    def key(self) -> str:
        return self.do("key", "show").out.strip()

    def create(self, content: str = "What happened.") -> Json:
        return self.tool("diary_create", content=content).data

    def request(self, entry_id: str) -> Json:
        return self.tool("diary_signature_request", entry_id=entry_id, key=self.key).data

    def signature(self, request: Json) -> str:
        """What the command of a request gives."""
        return self.do(*request["command"].split()[1:]).out.strip()

    def sign(self, request: Json, signature: str | None = None) -> Answer:
        handed_in = self.signature(request) if signature is None else signature
        return self.tool("diary_sign", request_id=request["request_id"], signature=handed_in)

    def state(self, entry_id: str) -> str:
        return self.tool("diary_get", entry_id=entry_id).data["signature"]


@pytest.fixture(scope="module")
def server(database: str) -> Generator[HttpServer]:
    with http_server(environment(database_url=database)) as started:
        yield started.wait_until_ready()


@pytest.fixture
def remote(server: HttpServer, database: str, tmp_path: Path) -> Remote:
    ask(database, "delete from diary.link")
    ask(database, "delete from diary.chain_head")
    ask(database, "delete from diary.entry")
    token = issue_token(database, "alice").secret
    return Remote(server, database, token, tmp_path / "data")


def test_the_two_tools_are_there_over_http(remote: Remote) -> None:
    response = post(remote.server, request_body("tools/list"), bearer(remote.token))
    tools = response.json()["result"]["tools"]

    assert [tool["name"] for tool in tools][-2:] == ["diary_signature_request", "diary_sign"]
    assert len(json.dumps({"tools": tools}, separators=(",", ":"))) <= 16_000


def test_an_entry_is_pending_until_the_agent_has_signed_it(remote: Remote) -> None:
    entry = remote.create()
    request = remote.request(entry["id"])

    signed = remote.sign(request).data

    assert entry["signature"] == "pending"
    assert (signed["entry_id"], signed["sequence"]) == (entry["id"], 1)
    assert remote.state(entry["id"]) == "signed"
    (proof,) = remote.tool("diary_verify", entry_id=entry["id"]).data["entries"]
    assert (proof["signer"], proof["link"]) == (remote.key, signed["link"])
    report = remote.tool("diary_verify").data
    assert report["entries"] == []
    assert report["chain"] == {"sequence": 1, "hash": signed["link"]}
    signing = remote.tool("diary_whoami").data["signing"]
    assert signing == {"sequence": 1, "head": signed["link"], "keys": [remote.key]}
    assert remote.do("verify").out.endswith("sound\n")


def test_a_request_cannot_be_replayed_or_used_for_another_entry(remote: Remote) -> None:
    first, second = remote.create("first"), remote.create("second")
    request = remote.request(first["id"])
    other = remote.request(second["id"])
    signature = remote.signature(request)

    assert remote.sign(other, signature).code == "invalid_argument"
    assert remote.sign(request, signature).code == "ok"
    assert remote.sign(request, signature).code == "not_found"
    assert remote.sign(other).code == "conflict", "the chain goes on from elsewhere now"
    assert remote.state(second["id"]) == "pending"


def test_a_request_is_for_one_version_one_agent_and_the_last_one_asked(
    remote: Remote, database: str
) -> None:
    entry = remote.create()
    earlier = remote.request(entry["id"])
    request = remote.request(entry["id"])
    signature = remote.signature(request)
    bob = issue_token(database, "bob").secret
    readers: tuple[TokenScope, ...] = ("diary:read",)
    reader = issue_token(database, "alice", scopes=readers).secret
    handed_in = {"request_id": request["request_id"], "signature": signature}

    assert remote.sign(earlier).code == "not_found"
    assert remote.tool("diary_sign", token=bob, **handed_in).code == "not_found"
    assert remote.tool("diary_sign", token=reader, **handed_in).code == "forbidden"
    asked = remote.tool("diary_signature_request", token=bob, entry_id=entry["id"], key=remote.key)
    assert asked.code == "not_found"
    remote.tool("diary_update", entry_id=entry["id"], expected_version=1, content="changed")
    assert remote.sign(request, signature).code == "conflict"
    assert remote.sign(remote.request(entry["id"])).code == "ok"


def test_what_is_no_signature_is_refused_and_the_request_stays(remote: Remote) -> None:
    request = remote.request(remote.create()["id"])

    for signature in ("", "A" * 86, "ä" * 10, "=" * 86):
        assert remote.sign(request, signature).code == "invalid_argument", signature
    assert remote.sign(request).code == "ok"


def test_a_request_expires_by_its_workflow_and_is_not_accepted_before_that(
    remote: Remote, database: str
) -> None:
    request = remote.request(remote.create()["id"])
    scheduled = ask(
        database,
        "select status, delay_until_epoch_ms from dbos.workflow_status where workflow_uuid = %s",
        f"expire_signature_request:{request['request_id']}",
    )
    assert [status for status, _ in scheduled] == ["DELAYED"]
    ask(database, "update diary.signature_request set expires_at = now() - interval '1 second'")

    assert remote.sign(request).code == "not_found"
    ask(
        database,
        "update dbos.workflow_status set delay_until_epoch_ms = 1 where workflow_uuid = %s",
        f"expire_signature_request:{request['request_id']}",
    )
    waiting = "select id from diary.signature_request where id = %s::uuid"
    eventually(lambda: not ask(database, waiting, request["request_id"]))


def test_keys_are_admitted_and_revoked_by_requests_too(remote: Remote, tmp_path: Path) -> None:
    assert remote.sign(remote.request(remote.create()["id"])).code == "ok"
    second = remote.do("key", "show", data_dir=tmp_path / "second").out.strip()

    entry = remote.create()["id"]
    asked = remote.tool("diary_signature_request", entry_id=entry, key=second)
    assert asked.code == "invalid_argument"
    assert remote.sign(remote.tool("diary_signature_request", admit=second).data).code == "ok"
    revoked = remote.tool("diary_signature_request", revoke=remote.key, key=remote.key).data
    assert remote.sign(revoked).code == "ok"

    request = remote.tool("diary_signature_request", entry_id=entry).data
    signature = remote.do(*request["command"].split()[1:], data_dir=tmp_path / "second").out
    assert remote.sign(request, signature.strip()).code == "ok"
    assert remote.do("verify", "--strict").status == 0


def test_a_deletion_can_be_signed_afterwards(remote: Remote) -> None:
    entry = remote.create()["id"]
    remote.sign(remote.request(entry))
    assert remote.tool("diary_delete", entry_id=entry).code == "ok"
    assert "dropped" in remote.do("verify").err

    assert remote.sign(remote.request(entry)).code == "ok"

    assert remote.do("verify").status == 0


def test_sign_with_a_url_reads_checks_and_signs(remote: Remote, database: str) -> None:
    first, second = remote.create("first")["id"], remote.create("second")["id"]
    url = f"{remote.server.url}/mcp"

    done = remote.run("sign", "--url", url, first, second)

    assert done.returncode == 0, done.stderr
    assert (remote.state(first), remote.state(second)) == ("signed", "signed")
    ask(database, "delete from diary.link where sequence = 2")
    ask(
        database,
        "update diary.chain_head set sequence = 1, hash = (select hash from diary.link)",
    )
    refused = remote.run("sign", "--url", url, second)
    assert refused.returncode == 1
    assert "taken away or replaced" in refused.stderr
    assert remote.state(second) == "pending"


def test_what_is_signed_is_shown_or_given(remote: Remote, tmp_path: Path) -> None:
    url = f"{remote.server.url}/mcp"
    text = "\u202e first\r\n\x1b[2J" + "long " * 5_000
    first, second = remote.create(text)["id"], remote.create("second")["id"]
    file = tmp_path / "second.md"

    shown = remote.run("sign", "--url", url, first)
    file.write_bytes(b"another text")
    other = remote.run("sign", "--url", url, second, "--content", str(file))
    file.write_bytes(b"second")
    given = remote.run("sign", "--url", url, second, "--content", str(file))

    assert shown.returncode == given.returncode == 0, shown.stderr + given.stderr
    assert "  | \\u202e first\\r\n  | \\x1b[2Jlong " in shown.stderr
    assert (other.returncode, "does not say" in other.stderr) == (1, True)
    assert "  | " not in given.stderr
    assert remote.do("verify", "--strict").status == 0


def test_a_deletion_and_a_key_are_signed_by_commands_that_name_them(
    remote: Remote, tmp_path: Path
) -> None:
    url = f"{remote.server.url}/mcp"
    entry = remote.create()["id"]
    assert remote.run("sign", "--url", url, entry).returncode == 0
    second = remote.do("key", "show", data_dir=tmp_path / "second").out.strip()

    assert remote.run("key", "admit", second, "--url", url).returncode == 0
    remote.tool("diary_delete", entry_id=entry)
    assert remote.run("sign", "--url", url, entry).returncode != 0
    assert remote.do("sign", "--all").out == "signed 0\n"
    assert "dropped" in remote.do("verify").err
    assert remote.run("sign", "--url", url, "--delete", entry).returncode == 0
    assert remote.run("key", "revoke", second, "--url", url).returncode == 0

    assert remote.do("verify").status == 0
    signing = remote.tool("diary_whoami").data["signing"]
    assert (signing["sequence"], signing["keys"]) == (4, [remote.key])


def test_a_statement_that_deletes_or_changes_keys_is_signed_only_where_that_is_named(
    remote: Remote, tmp_path: Path
) -> None:
    assert remote.sign(remote.request(remote.create()["id"])).code == "ok"
    second = remote.do("key", "show", data_dir=tmp_path / "second").out.strip()
    request = remote.tool("diary_signature_request", admit=second).data
    statement = request["command"].split()[-1]

    for named in ([], ["--admit", remote.key], ["--revoke", second], ["--delete"]):
        refused = remote.run("sign", "--agent", "alice", *named, statement)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"--admit {second}" in refused.stderr
    assert remote.run("sign", "--admit", second, "--agent", "alice", statement).returncode == 0


OPERATOR = "ed25519:" + "B" * 43


def admit_operator(asked: Json) -> None:
    del asked["entry_id"]
    asked["admit"] = OPERATOR


LIES: dict[str, tuple[str, Callable[[Json], object] | None, Callable[[Json], object] | None]] = {
    "a key of the operator's": ("diary_signature_request", admit_operator, None),
    "content that is not shown": (
        "diary_get",
        None,
        lambda found: found.update(content="What the agent would like to sign."),
    ),
    "a title that is not shown": ("diary_get", None, lambda found: found.update(title="Harmless")),
    "a key that is not the entry's": ("diary_get", None, lambda found: found.update(key="mine")),
    "another's entry": ("diary_get", None, lambda found: found.update(owner="mallory")),
    "another version": ("diary_get", None, lambda found: found.update(version=2)),
    "what it supersedes": (
        "diary_get",
        None,
        lambda found: found.update(supersedes=["0199aaaa-3236-7000-8000-000000000001"]),
    ),
    "what its schema does not allow": (
        "diary_get",
        None,
        lambda found: found.update(supersedes="0199aaaa-3236-7000-8000-000000000001"),
    ),
    "another salt": (
        "diary_signature_request", None, lambda found: found.update(salt="A" * 22)
    ),
    "a statement that is none": (
        "diary_signature_request",
        None,
        lambda found: found.update(
            statement=found["statement"].replace('"subject":null', f'"subject":"{OPERATOR}"')
        ),
    ),
    "no statement at all": ("diary_signature_request", None, lambda found: found.clear()),
    "another place in the chain": (
        "diary_signature_request",
        None,
        lambda found: found.update(
            statement=found["statement"].replace('"sequence":2', '"sequence":1')
        ),
    ),
    "another time": (
        "diary_signature_request",
        None,
        lambda found: found.update(
            statement=found["statement"].replace('"time":"20', '"time":"21')
        ),
    ),
}  # fmt: skip


def sign_at(remote: Remote, url: str, entry: str) -> None:
    """`diary-mcp sign --url`, in this process."""
    settings = Settings(agent=AgentName("alice"), data_dir=remote.data_dir)
    anyio.run(partial(sign_entries, settings, url, [entry], None, ask=False))


def test_nothing_is_signed_for_a_server_that_lies(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIARY_MCP_TOKEN", remote.token)
    first, entry = remote.create("first")["id"], remote.create("What happened.")["id"]
    url = f"{remote.server.url}/mcp"
    sign_at(remote, url, first)
    path = remote.data_dir / "keys" / "chains" / "alice.json"
    known = path.read_text("utf-8")

    believed: list[str] = []
    for lie, (tool, asked, answered) in LIES.items():
        with lying_proxy(remote.server.url, tool=tool, asked=asked, answered=answered) as lying:
            # The same diary, as this machine knows it.
            path.write_text(known.replace(url, lying), "utf-8")
            try:
                sign_at(remote, lying, entry)
            except (ConflictError, InvalidArgumentError):
                continue
            believed.append(lie)

    assert believed == []
    assert remote.state(entry) == "pending"
    assert remote.tool("diary_whoami").data["signing"]["sequence"] == 1
    # It is the lies that were refused.
    path.write_text(known, "utf-8")
    sign_at(remote, url, entry)
    assert remote.state(entry) == "signed"


def test_a_deletion_is_not_signed_in_the_place_of_an_entry(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIARY_MCP_TOKEN", remote.token)
    gone, entry = remote.create("gone")["id"], remote.create("here")["id"]
    sign_at(remote, f"{remote.server.url}/mcp", gone)
    remote.tool("diary_delete", entry_id=gone)

    with (
        lying_proxy(
            remote.server.url,
            tool="diary_signature_request",
            asked=lambda asked: asked.update(entry_id=gone),
        ) as lying,
        pytest.raises(ConflictError, match="nothing was signed"),
    ):
        sign_at(remote, lying, entry)


def test_no_other_entry_is_signed_in_the_place_of_the_one_that_was_named(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIARY_MCP_TOKEN", remote.token)
    other = remote.create("Never to be signed.")["id"]
    named = remote.tool("diary_create", content="What happened.", key="named").data["id"]

    with lying_proxy(
        remote.server.url,
        tool="diary_get",
        asked=lambda asked: asked.update(entry_id=other),
    ) as lying:
        for reference in (named, "named"):
            with pytest.raises(ConflictError, match="nothing was signed"):
                sign_at(remote, lying, reference)

    assert remote.state(other) == "pending"
    sign_at(remote, f"{remote.server.url}/mcp", "named")
    assert remote.state(named) == "signed"


WRONG: list[tuple[str, str | None, str]] = [
    ("{}/mcp", "wrong", "DIARY_MCP_TOKEN"),
    ("{}/mcp", "", "DIARY_MCP_TOKEN"),
    ("{}/other", None, "HTTP 404"),
    ("http://127.0.0.1:9/mcp", None, "No diary answers"),
    ("http://no.such.host.invalid/mcp", None, "No diary answers"),
    ("127.0.0.1:8722/mcp", None, "must be a URL"),
]


def test_a_wrong_address_or_token_is_one_line(remote: Remote) -> None:
    entry = remote.create()["id"]
    for url, token, told in WRONG:
        asking = remote if token is None else replace(remote, token=token)

        refused = asking.run("sign", "--url", url.format(remote.server.url), entry)

        assert refused.returncode == 2, url
        assert told in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
        assert len(refused.stderr) < 600


def test_sign_refuses_what_is_not_the_agents_own(remote: Remote, tmp_path: Path) -> None:
    request = remote.request(remote.create()["id"])
    encoded = request["command"].split()[-1]

    assert remote.run("sign", "--agent", "bob", encoded).returncode != 0
    other = remote.run("sign", "--agent", "alice", encoded, data_dir=tmp_path / "other")
    assert (other.returncode, other.stdout) == (1, "")
    assert remote.run("sign", "--agent", "alice", encoded[:-8]).returncode != 0


def test_no_private_key_is_in_the_database_the_log_or_a_result(remote: Remote) -> None:
    entry = remote.create()["id"]
    request = remote.request(entry)
    remote.sign(request)
    pem = (remote.data_dir / "keys" / "alice.pem").read_text("utf-8")
    secret = pem.splitlines()[1]

    dump = str(ask(remote.url, "select statement, signature, salt from diary.link"))
    assert secret not in dump + json.dumps(request) + remote.server.stderr()
    assert [each.name for each in (remote.data_dir / "keys").iterdir()] == ["alice.pem"]
