"""Where things lie in this checkout."""

import os
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent


def keys_of(database_url: str) -> Path:
    """Where all servers of tests on a database keep their keys: an agent is the same in each.

    Not one place for all databases: what a signer remembers of each of them is read at every write.
    """
    database = database_url.partition("?")[0].rpartition("/")[2] or "default"
    return Path(tempfile.gettempdir(), f"diary-mcp-test-keys-{os.getuid()}", database)
