from pathlib import Path

import pytest

from diary_mcp.domain.errors import DatabaseUnavailableError
from diary_mcp.postgres.embedded import embedded_postgres
from diary_mcp.postgres.sockets import database_url


def test_the_url_names_role_database_socket_and_port() -> None:
    url = database_url(Path("/home/ü/a b+c%&?"), "diary")

    assert url == "postgresql://diary@/diary?host=/home/%C3%BC/a%20b%2Bc%25%26%3F&port=5432"


@pytest.mark.anyio
async def test_windows_is_told_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "win32")

    with pytest.raises(DatabaseUnavailableError, match="DIARY_MCP_DATABASE_URL"):
        async with embedded_postgres(tmp_path):
            pass
