"""A way to a real Keto on which things go wrong, and where everything that passes is written down.

Every process of the diary gets a URL of its own, so that it is known who asked what and when.
"""

import re
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from support.fake_keto import Reply, Request, fake_keto
from support.keto_config import KetoAddress

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENTRY_TUPLES = ("/relation-tuples", "/admin/relation-tuples")
_CUT_OFF = Reply(b"", "reset")


@dataclass(frozen=True)
class Fault:
    """What becomes of a request: it is late, reaches Keto or not, and is answered otherwise."""

    answer: Reply | None = None
    """Instead of Keto's."""

    delay_s: float = 0
    applied: bool = False
    """Whether Keto gets a request that it does not answer itself."""

    writes_only: bool = False
    held: bool = False
    """Whether it stays on the way until the fault is lifted."""


@dataclass(frozen=True)
class Exchange:
    """One request about the tuples of entries. `ended` is infinite while it has no answer."""

    who: str
    writes: bool
    entry_ids: frozenset[str]
    begun: float
    ended: float = float("inf")
    names_viewers: bool = False
    """Whether it is about any viewer's tuple, not the owner's alone."""


@dataclass
class KetoProxy:
    """Where the diary's processes find Keto."""

    keto: KetoAddress
    base_url: str = ""
    fault: Fault | None = None
    faults: dict[str, Fault] = field(default_factory=dict[str, Fault])
    """Faults on the way of one process alone."""

    exchanges: list[Exchange] = field(default_factory=list[Exchange])

    def address(self, who: str) -> KetoAddress:
        """Both APIs, as the process `who` is told them."""
        return KetoAddress(f"{self.base_url}/{who}", f"{self.base_url}/{who}")

    def by_entry(self) -> dict[str, list[Exchange]]:
        """What was asked about each entry, in the order in which it began."""
        found: dict[str, list[Exchange]] = {}
        for each in sorted(self.exchanges, key=lambda each: each.begun):
            for entry_id in each.entry_ids:
                found.setdefault(entry_id, []).append(each)
        return found


@contextmanager
def keto_proxy(keto: KetoAddress) -> Generator[KetoProxy]:
    """A running proxy, with a loop and a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_open(keto)) as proxy:
        yield proxy


@asynccontextmanager
async def _open(keto: KetoAddress) -> AsyncGenerator[KetoProxy]:
    proxy = KetoProxy(keto)
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:

        async def answer(request: Request) -> Reply:
            _, who, path = request.path.split("/", 2)
            return await _answer(proxy, client, who, replace(request, path=f"/{path}"))

        async with fake_keto(answer) as fake:
            proxy.base_url = fake.url
            yield proxy


async def _answer(proxy: KetoProxy, client: httpx.AsyncClient, who: str, request: Request) -> Reply:
    # Whoever wants a new record puts another list in its place.
    exchanges = proxy.exchanges
    place = len(exchanges)
    exchange = _exchange(who, request)
    if exchange is not None:
        exchanges.append(exchange)
    try:
        return await _pass_on(proxy, client, who, request)
    finally:
        if exchange is not None:
            exchanges[place] = replace(exchange, ended=time.monotonic())


async def _pass_on(
    proxy: KetoProxy, client: httpx.AsyncClient, who: str, request: Request
) -> Reply:
    fault = proxy.faults.get(who, proxy.fault)
    if fault is None or (fault.writes_only and request.method != "PATCH"):
        return await _ask_keto(proxy.keto, client, request)
    await anyio.sleep(fault.delay_s)
    while fault.held and proxy.faults.get(who, proxy.fault) is fault:  # noqa: ASYNC110  # lifted in another thread
        await anyio.sleep(0.01)
    if fault.answer is None or fault.applied:
        answer = await _ask_keto(proxy.keto, client, request)
        return fault.answer or answer
    return fault.answer


async def _ask_keto(keto: KetoAddress, client: httpx.AsyncClient, request: Request) -> Reply:
    base = keto.write_url if request.path.startswith("/admin/") else keto.read_url
    try:
        answer = await client.request(
            request.method, f"{base}{request.path}", params=request.query, content=request.body
        )
    except httpx.TransportError:
        return _CUT_OFF
    head = f"HTTP/1.1 {answer.status_code} Answer\r\nContent-Length: {len(answer.content)}\r\n\r\n"
    return Reply(head.encode() + answer.content)


def _exchange(who: str, request: Request) -> Exchange | None:
    if request.path not in _ENTRY_TUPLES:
        return None
    words = f"{request.query} {request.body.decode()}"
    return Exchange(
        who,
        request.method == "PATCH",
        frozenset(_ID.findall(words)),
        time.monotonic(),
        names_viewers="viewer" in words,
    )
