"""What the environment says of requests to other servers: by which proxy, trusting whom.

HTTP libraries read these variables themselves, all of them for whichever request, and fail where
one is malformed. Here only what concerns the request is read, and what is wrong names its variable.
"""

import os
import re
import ssl
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

from diary_mcp.domain.errors import InvalidArgumentError

_PROXY_SCHEMES = frozenset({"http", "https"})
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def proxy_for(url: str) -> str | None:
    """The proxy that `url` is asked through; `None` for this machine's own servers.

    Raises:
        InvalidArgumentError: the variable that names it is malformed, or names a kind of proxy
            that is not supported.
        ValueError: `url` is none.
    """
    target = urlsplit(url)
    host = target.hostname or ""
    named = getproxies_environment()
    kind = next((each for each in (target.scheme, "all") if each in named), None)
    if kind is None or is_this_machine(host):
        return None
    if _needs_none(target, named.get("no", "")):
        return None
    return _usable(named[kind], _spelling(f"{kind}_proxy"))


def certificates_for(url: str) -> ssl.SSLContext | bool:
    """Whom to trust at `url`, for an HTTP client's `verify`: what came with it, or is named.

    Raises:
        InvalidArgumentError: the variable that names it names nothing usable.
    """
    if not url.startswith("https:"):
        # Nothing is checked, and reading the certificates takes a while.
        return False
    variable = next((each for each in _CERTIFICATE_VARIABLES if os.environ.get(each)), None)
    if variable is None:
        return True
    path = os.environ[variable]
    try:
        if variable == "SSL_CERT_FILE":
            return ssl.create_default_context(cafile=path)
        return ssl.create_default_context(capath=path)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{variable} names no readable certificates.") from error


def without_user(url: str) -> str:
    """`url` as it may be told: without name and password, also where an `@` or `/` is in them."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_this_machine(host: str) -> bool:
    """Whether `host` is a loopback address or name; nothing is looked up."""
    try:
        address = ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _needs_none(target: SplitResult, listed: str) -> bool:
    """Whether `NO_PROXY` lists the host, a domain that it belongs to, or either with this port."""
    host, asked = target.hostname or "", target.netloc.rpartition("@")[2].lower()
    for name in (each.strip().lower() for each in listed.split(",")):
        domain = name.removeprefix("*").lstrip(".")
        if name == "*":
            return True
        if domain and any(f".{each}".endswith(f".{domain}") for each in (host, asked)):
            return True
    return False


def _usable(value: str, variable: str) -> str:
    """`value`, with a scheme; never told, because there may be a password in it."""
    proxy = value.strip()
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        parts = urlsplit(proxy)
        is_address = _is_host(parts) and parts.port != 0
    except ValueError:
        raise _malformed(variable) from None
    if not is_address or not re.fullmatch(r"[!-~]{1,4096}", proxy):
        raise _malformed(variable)
    if parts.scheme not in _PROXY_SCHEMES:
        raise InvalidArgumentError(
            f"{variable} names a proxy of a kind that is not supported: it must begin with "
            "http:// or https://. NO_PROXY lists the hosts that need none."
        )
    return proxy


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if ":" in host or re.fullmatch(r"[\d.]+", host):
        ip_address(host)
        return True
    return re.fullmatch(r"[\w.-]{1,253}", host, re.ASCII) is not None


def _malformed(variable: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{variable} is not the URL of a proxy, such as http://proxy.example:3128."
    )


def _spelling(name: str) -> str:
    """As the variable is written: the lower case one counts where there are both."""
    return next((each for each in os.environ if each == name), name.upper())
