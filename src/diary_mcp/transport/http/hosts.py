"""Under which names the server may be asked for: the answer to DNS rebinding."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def security_settings(bound_to: str, allowed: Iterable[str]) -> TransportSecuritySettings:
    """Allows this machine's own names, the address that is bound to, and what the operator named.

    A name without a port is allowed with every port, and web pages of an allowed name may ask.
    """
    names = dict.fromkeys(
        name.lower() for name in (*_LOOPBACK_NAMES, *_names_of(bound_to), *allowed)
    )
    return _allowing([host for name in names for host in _with_ports(name)])


def only_from(host: str) -> TransportSecuritySettings:
    """Allows one name with one port, and no pages but its own."""
    return _allowing([host])


@dataclass(frozen=True)
class HostCheck:
    """Keeps web pages out that a browser was tricked into connecting to this server.

    Load balancers ask for the open paths by address, and learn nothing else from it.
    """

    app: ASGIApp
    security: TransportSecuritySettings
    open_paths: Collection[str] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {**scope, "headers": [*map(_in_lower_case, scope["headers"])]}
        refusal = None
        if scope["path"] not in self.open_paths:
            check = TransportSecurityMiddleware(self.security)
            refusal = await check.validate_request(Request(scope, receive))
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await _strange_name(refusal.status_code)(scope, receive, send)


def _in_lower_case(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Names of hosts are the same in whatever case they are written."""
    name, value = header
    return (name, value.lower()) if name in {b"host", b"origin"} else header


def _strange_name(status: int) -> JSONResponse:
    return JSONResponse(
        {
            "error": "invalid_request",
            "error_description": "This server does not answer to this Host or Origin. Whoever "
            "operates it can allow further names with --allow-host.",
        },
        status,
    )


def _allowing(hosts: list[str]) -> TransportSecuritySettings:
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )


def _names_of(bound_to: str) -> list[str]:
    try:
        address = ip_address(bound_to)
    except ValueError:
        return [bound_to]
    if address.is_unspecified:
        return []
    return [bound_to if address.version == 4 else f"[{bound_to}]"]  # noqa: PLR2004  # as in IPv4


def _with_ports(name: str) -> list[str]:
    has_port = name.rpartition("]")[2].rpartition(":")[1] == ":"
    return [name] if has_port else [name, f"{name}:*"]
