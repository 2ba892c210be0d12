"""uvicorn's HTTP protocol, with the bounds on strangers that it would leave to a proxy."""

import asyncio
import time

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEAD_BYTES = 64 << 10
_HEAD_ARRIVES_S = 10
# Who has signed in has longer: `bodies.py`.
_STRANGERS_BODY_ARRIVES_S = 10
# For the next request, as long as nobody has signed in on the connection.
_STRANGER_WAITS_S = 5
MAX_STRANGERS = 500
MAX_STRANGERS_OF_ONE_ADDRESS = 200
MAX_CONNECTIONS_OF_ONE_AGENT = 200
CONNECTION = "diary_connection"
"""Under this name the state in a request's scope has the connection that it came on."""
# What a client still sends after its answer is read, so that it gets to see the answer.
_MAX_LATE_BYTES = 16 << 20
_LATE_S = 5
# A client that stops reading its answer for so long is gone.
_STALL_S = 60


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection, on which a request's head is short and comes in time.

    Until an agent has signed in on it, it is a stranger's: those have room of their own, where
    the oldest makes room for a new one, so that they cannot keep out who has a token.
    """

    agent: str | None = None
    connected_at = 0.0
    _in_head = True
    _bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _joined: "_JoinedWrites | None" = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # as in uvicorn
        super().connection_made(transport)
        self._joined = _JoinedWrites(transport, self.loop)
        self.connected_at = time.monotonic()
        self._close_after(_HEAD_ARRIVES_S)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_stall()
        self._stall = self.loop.call_later(_STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_stall()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        is_late = not self._in_head and self.cycle.response_complete
        if self._in_head or is_late:
            self._bytes += len(data)
        super().data_received(data)
        if self._in_head and self._bytes > _MAX_HEAD_BYTES:
            self.send_400_response(f"A request's head has at most {_MAX_HEAD_BYTES >> 10} KiB.")
        elif is_late and self._bytes > _MAX_LATE_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._close_after(_HEAD_ARRIVES_S)
        super().on_message_begin()
        self.scope.setdefault("state", {})[CONNECTION] = self

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._bytes = 0
        self._stop_timer()
        if self.agent is None:
            self._close_after(_STRANGERS_BODY_ARRIVES_S)
        super().on_headers_complete()
        if self._joined is not None:
            self.cycle.transport = self._joined

    def on_message_complete(self) -> None:
        self._in_head = True
        self._bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._in_head:
            self._close_after(_LATE_S)
        elif self.agent is None:
            self._close_after(_STRANGER_WAITS_S)
        super().on_response_complete()

    def sign_in(self, agent: str) -> bool:
        """From now on the connection is this agent's, and kept between requests.

        `False` where the agent has too many on which it waits for an answer; of the others, the
        oldest makes room. A name that is empty is everybody's.
        """
        if agent and agent != self.agent:
            theirs = [other for other in self._others() if other.agent == agent]
            if len(theirs) >= MAX_CONNECTIONS_OF_ONE_AGENT:
                idle = [other for other in theirs if not other.is_busy]
                if not idle:
                    return False
                min(idle, key=_age).transport.abort()
        self.agent = agent
        if not self._in_head:
            self._stop_timer()
        return True

    @property
    def is_busy(self) -> bool:
        """Whether an answer is owed."""
        return bool(self.cycle) and not self.cycle.response_complete

    def _make_room(self) -> None:
        strangers = [other for other in self._others() if other.agent is None]
        address = self.client and self.client[0]
        nearby = [other for other in strangers if other.client and other.client[0] == address]
        if len(nearby) >= MAX_STRANGERS_OF_ONE_ADDRESS:
            crowd = nearby
        elif len(strangers) >= MAX_STRANGERS:
            crowd = strangers
        else:
            return
        # First those that are owed no answer. Never the new one, who could not ask yet: else
        # requests without an end would keep everybody out.
        min(crowd, key=lambda other: (other.is_busy, _age(other))).transport.abort()

    def _others(self) -> list["BoundedHttpProtocol"]:
        return [
            other
            for other in list[object](self.connections)
            if isinstance(other, BoundedHttpProtocol) and other is not self
        ]

    def _close_after(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _JoinedWrites(asyncio.Transport):
    """What uvicorn writes a response to: its head goes out together with its body.

    uvicorn writes them one after the other, and each would be a system call here and a wake-up
    there. A head whose body is not there at once waits for one turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._unsent: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._unsent is None:
            self._unsent = bytes(data)
            self._loop.call_soon(self._flush)
        else:
            unsent, self._unsent = self._unsent, None
            self._transport.write(unsent + data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, None
        if unsent and not self._transport.is_closing():
            self._transport.write(unsent)


def _age(connection: BoundedHttpProtocol) -> float:
    return connection.connected_at
