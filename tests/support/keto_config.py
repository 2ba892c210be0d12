"""How every Keto of the tests is configured, and where it is."""

from dataclasses import dataclass
from pathlib import Path

READ_URL_VARIABLE = "DIARY_MCP_TEST_KETO_READ_URL"
WRITE_URL_VARIABLE = "DIARY_MCP_TEST_KETO_WRITE_URL"
# For tests that are not about time: a busy machine can stand still for longer than a server may.
PATIENCE_S = 20.0


@dataclass(frozen=True)
class KetoAddress:
    """Where a Keto server's two APIs are."""

    read_url: str
    write_url: str


def keto_config(*, dsn: str, opl: Path, host: str, ports: tuple[int, int, int, int]) -> str:
    """The server's configuration file."""
    apis = zip(("read", "write", "metrics", "opl"), ports, strict=True)
    serve = "\n".join(f"  {api}: {{host: {host}, port: {port}}}" for api, port in apis)
    return (
        f"version: v0.13.0\ndsn: {dsn}\nlog: {{level: warn}}\nserve:\n{serve}\n"
        f"namespaces:\n  location: file://{opl}\n  experimental_strict_mode: true\n"
    )
