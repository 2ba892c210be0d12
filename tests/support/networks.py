"""A network namespace behind a wire of our own, on which packets are lost, or come late.

Whoever is in the namespace reaches this machine by one way only: two TUN devices, between which a
thread carries every packet that is to pass. So both kernels see what they would see of a vanished
host, a firewall that has forgotten its connections, or a link that carries one direction only; no
packet filter has to be there.
"""

import fcntl
import heapq
import os
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Literal

import pytest

Fault = Literal["established", "to the server", "to the client", "late"]
"""What is lost: what is connected now; one direction; nothing, but all comes late."""

LATE_S = 0.1

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x1, 0x1000
_MTU = 65_536
_TCP = 6


class Wire:
    """The way between the namespace (the client's side) and this machine (the server's)."""

    def __init__(self, namespace: str, ips: tuple[str, str], client: int, server: int) -> None:
        self.server_ip, self.client_ip = ips
        """Where this machine is found from the namespace, and as what it is seen from here."""

        self.through = ("ip", "netns", "exec", namespace)
        """A command that executes another in the namespace."""

        self._client, self._server = client, server
        self._fault: Fault | None = None
        self._faulty_ports: frozenset[int] = frozenset()
        self._flows: set[bytes] = set()
        self._forgotten: frozenset[bytes] = frozenset()
        self._late: list[tuple[float, int, int, bytes]] = []
        self._numbers = count()
        self._woken, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @contextmanager
    def failing(self, fault: Fault, *, ports: Collection[int] = ()) -> Generator[None]:
        """What is connected when it begins and forgotten stays so: it was lost for good.

        With `ports`, this happens only on the way to these of the server's.
        """
        self._faulty_ports = frozenset(ports)
        if fault == "established":
            self._forgotten = frozenset(filter(self._is_faulty, self._flows))
        self._fault = fault
        try:
            yield
        finally:
            self._fault = None

    def close(self) -> None:
        os.close(self._waker)
        self._thread.join()
        os.close(self._woken)

    def _carry(self) -> None:
        others = {self._client: self._server, self._server: self._client}
        while True:
            wait_s = max(0, self._late[0][0] - time.monotonic()) if self._late else None
            ready, _, _ = select.select([*others, self._woken], [], [], wait_s)
            if self._woken in ready:
                return
            for source in ready:
                packet = os.read(source, _MTU)
                if self._passes(packet, to_server=source == self._client):
                    due = time.monotonic() + (LATE_S if self._fault == "late" else 0)
                    late = (due, next(self._numbers), others[source], packet)
                    heapq.heappush(self._late, late)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, target, packet = heapq.heappop(self._late)
                os.write(target, packet)

    def _passes(self, packet: bytes, *, to_server: bool) -> bool:
        flow = _flow(packet, to_server=to_server)
        self._flows.add(flow)
        match self._fault if self._is_faulty(flow) else None:
            case "to the server":
                return not to_server
            case "to the client":
                return to_server
            case _:
                return flow not in self._forgotten

    def _is_faulty(self, flow: bytes) -> bool:
        return not self._faulty_ports or int.from_bytes(flow[2:]) in self._faulty_ports


def _flow(packet: bytes, *, to_server: bool) -> bytes:
    """Both ports of a connection, the client's first; nothing of what is no TCP over IPv4."""
    if packet[0] >> 4 != 4 or packet[9] != _TCP:
        return b""
    start = (packet[0] & 15) * 4
    source, target = packet[start : start + 2], packet[start + 2 : start + 4]
    return source + target if to_server else target + source


@contextmanager
def wire() -> Generator[Wire]:
    """A namespace of its own behind a wire; skips the test where this machine does not allow it."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here; `apt-get install iproute2` brings it")
    name = f"diary{os.getpid()}"
    # Of the range that is kept for measuring networks: nobody is there.
    network = f"198.18.{os.getpid() >> 6 & 255}.{(os.getpid() & 63) * 4}".rsplit(".", 1)
    server_ip, client_ip = (f"{network[0]}.{int(network[1]) + each}" for each in (1, 2))
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        server = _tun(stack, f"{name}s", server_ip, client_ip)
        client = _tun(stack, f"{name}c", client_ip, server_ip, namespace=name)
        opened = Wire(name, (server_ip, client_ip), client, server)
        stack.callback(opened.close)
        yield opened


def _tun(stack: ExitStack, name: str, own: str, other: str, *, namespace: str | None = None) -> int:
    try:
        device = os.open("/dev/net/tun", os.O_RDWR)
        stack.callback(os.close, device)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        pytest.skip(f"no TUN device can be made here: {error}")
    within = ()
    if namespace is not None:
        _ip("link", "set", name, "netns", namespace)
        within = ("-n", namespace)
    _ip(*within, "address", "add", own, "peer", other, "dev", name)
    _ip(*within, "link", "set", name, "up")
    return device


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
