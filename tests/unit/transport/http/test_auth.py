"""Bearer authentication and the connection drain, as ASGI applications without a socket."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.scopes import TOKEN_SCOPES
from diary_mcp.service.agents.authentication import Identity, TokenRefusedError
from diary_mcp.transport.http.auth import BearerAuthentication
from diary_mcp.transport.http.draining import MAX_STREAMS, ConnectionDrain
from diary_mcp.transport.http.hosts import security_settings

pytestmark = pytest.mark.anyio

ALICE = Identity(AgentName("alice"), frozenset(TOKEN_SCOPES))


@dataclass
class Reader:
    """Says of every token what the test wants."""

    answer: Identity | Exception = ALICE
    read: list[str] = field(default_factory=list[str])

    async def identify(self, token: str) -> Identity:
        self.read.append(token)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def tell_agent(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"agent": scope["user"].access_token.subject})(scope, receive, send)


async def ask(app: ASGIApp, authorization: str | None = "Bearer t") -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post("/", headers=headers)


async def test_the_application_behind_the_authentication_knows_the_agent() -> None:
    response = await ask(BearerAuthentication(tell_agent, Reader(), None))

    assert response.json() == {"agent": "alice"}


@pytest.mark.parametrize("scheme", ["Bearer t", "bearer t", "BEARER  t"])
async def test_the_scheme_is_read_as_http_asks(scheme: str) -> None:
    reader = Reader()

    response = await ask(BearerAuthentication(tell_agent, reader, None), scheme)

    assert response.status_code == 200
    assert reader.read == ["t"]


@pytest.mark.parametrize(
    ("answer", "status", "challenge"),
    [
        (TokenRefusedError("Expired."), 401, 'error="invalid_token", error_description="Expired."'),
        (Identity(AgentName("alice"), frozenset()), 403, 'error="insufficient_scope"'),
    ],
    ids=["refused", "without a scope"],
)
async def test_a_refusal_says_why(
    answer: Identity | Exception, status: int, challenge: str
) -> None:
    response = await ask(
        BearerAuthentication(tell_agent, Reader(answer), "https://diary.example/metadata")
    )

    assert response.status_code == status
    assert challenge in response.headers["WWW-Authenticate"]
    assert (
        'resource_metadata="https://diary.example/metadata"' in response.headers["WWW-Authenticate"]
    )


async def test_a_token_that_nobody_can_check_is_neither_good_nor_bad() -> None:
    response = await ask(BearerAuthentication(tell_agent, Reader(UnavailableError("down")), None))

    assert response.status_code == 503
    assert "WWW-Authenticate" not in response.headers


async def test_a_stream_is_cut_once_its_token_is_worth_nothing() -> None:
    reader = Reader()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def events() -> AsyncIterator[str]:
            yield "data: one\n\n"
            reader.answer = TokenRefusedError("Revoked.")
            yield "data: two\n\n"

        await StreamingResponse(events(), media_type="text/event-stream")(scope, receive, send)

    response = await ask(BearerAuthentication(stream, reader, None))

    assert response.text == "data: one\n\n"


async def test_a_stream_is_cut_when_its_token_becomes_another_agent_s() -> None:
    reader = Reader()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def events() -> AsyncIterator[str]:
            reader.answer = Identity(AgentName("bob"), ALICE.scopes)
            yield "data: for alice\n\n"

        await StreamingResponse(events(), media_type="text/event-stream")(scope, receive, send)

    response = await ask(BearerAuthentication(stream, reader, None))

    assert response.text == ""


async def stay_open(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await anyio.sleep_forever()


async def test_no_more_streams_are_opened_than_can_be_kept() -> None:
    connection_drain = ConnectionDrain()
    app = connection_drain.watch(stay_open)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as clients:
            for _ in range(MAX_STREAMS):
                clients.start_soon(ask, app)
            await anyio.wait_all_tasks_blocked()

            one_more = await ask(app)

            assert one_more.status_code == 503
            assert connection_drain.count_streams() == MAX_STREAMS
            await connection_drain.end_streams()
    assert connection_drain.count_streams() == 0


async def test_closing_waits_for_a_request_that_is_here_and_turns_the_next_away() -> None:
    connection_drain, may_answer, is_closed = ConnectionDrain(), anyio.Event(), anyio.Event()
    answers: list[int] = []

    async def answer_later(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await may_answer.wait()
        await JSONResponse({})(scope, receive, send)

    app = connection_drain.watch(answer_later)

    async def ask_first() -> None:
        answers.append((await ask(app)).status_code)

    async def close() -> None:
        await connection_drain.close()
        is_closed.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_first)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(close)
            await anyio.wait_all_tasks_blocked()
            late = await ask(app)

            assert late.status_code == 503
            assert not is_closed.is_set()
            may_answer.set()
    assert answers == [200]
    assert is_closed.is_set()


async def test_closing_turns_a_request_away_that_is_still_coming_in() -> None:
    connection_drain = ConnectionDrain()
    sent: list[Message] = []

    async def read_for_ever(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    async def never() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def upload() -> None:
        await connection_drain.watch(read_for_ever)({"type": "http"}, never, send)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await anyio.wait_all_tasks_blocked()
            await connection_drain.close()

    assert sent[0]["status"] == 503


@pytest.mark.parametrize(
    ("bound_to", "allowed", "host"),
    [
        ("127.0.0.1", (), "localhost"),
        ("127.0.0.1", (), "[::1]:*"),
        ("0.0.0.0", (), "127.0.0.1:*"),
        ("192.0.2.7", (), "192.0.2.7:*"),
        ("2001:db8::7", (), "[2001:db8::7]:*"),
        ("diary.lan", (), "diary.lan:*"),
        ("0.0.0.0", ("diary.example.org",), "diary.example.org"),
        ("0.0.0.0", ("diary.example.org:8443",), "diary.example.org:8443"),
        ("0.0.0.0", ("[2001:db8::7]",), "[2001:db8::7]:*"),
    ],
)
def test_the_names_of_the_server_are_allowed(
    bound_to: str, allowed: tuple[str, ...], host: str
) -> None:
    settings = security_settings(bound_to, allowed)

    assert settings.enable_dns_rebinding_protection
    assert host in settings.allowed_hosts
    assert f"https://{host}" in settings.allowed_origins


def test_an_address_that_stands_for_all_is_no_name() -> None:
    settings = security_settings("0.0.0.0", ())

    assert not [host for host in settings.allowed_hosts if host.startswith("0.0.0.0")]
