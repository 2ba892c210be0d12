"""uvicorn's HTTP protocol, with the bounds on strangers that it would leave to a proxy."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEAD_BYTES = 64 << 10
_HEAD_ARRIVES_S = 10
# What a client still sends after its answer is read, so that it gets to see the answer.
_MAX_LATE_BYTES = 16 << 20
_LATE_S = 5
# A client that stops reading its answer for so long is gone.
_STALL_S = 60


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection, on which a request's head is short and comes in time."""

    _in_head = True
    _bytes = 0
    _timer: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # as in uvicorn
        super().connection_made(transport)
        self._close_after(_HEAD_ARRIVES_S)

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

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._in_head:
            self._close_after(_LATE_S)
        super().on_response_complete()

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
