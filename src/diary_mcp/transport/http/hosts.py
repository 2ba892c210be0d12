"""Under which names the server may be asked for: the answer to DNS rebinding."""

from collections.abc import Iterable
from ipaddress import ip_address

from mcp.server.transport_security import TransportSecuritySettings

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def security_settings(bound_to: str, allowed: Iterable[str]) -> TransportSecuritySettings:
    """Allows this machine's own names, the address that is bound to, and what the operator named.

    A name without a port is allowed with every port, and web pages of an allowed name may ask.
    """
    names = dict.fromkeys(
        name.lower() for name in (*_LOOPBACK_NAMES, *_names_of(bound_to), *allowed)
    )
    hosts = [host for name in names for host in _with_ports(name)]
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
