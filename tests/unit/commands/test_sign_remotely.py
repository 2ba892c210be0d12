"""What `diary-mcp sign --url` refuses before it asks anybody."""

import asyncio
from pathlib import Path

import pytest

from diary_mcp.commands.sign_remotely import sign_deletions
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.settings import TOKEN_VARIABLE, Settings

AN_ENTRY = "019c5d0a-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8722/mcp",
        "ftp://127.0.0.1/mcp",
        "http:///mcp",
        "http://127.0.0.1:99999/mcp",
        "http://127.0.0.1:0/mcp",
        "http://127.0.0.1:http/mcp",
        "http://[::1/mcp",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_by_the_name_of_its_option(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^--url must be a URL"):
        asyncio.run(sign_deletions(Settings(data_dir=tmp_path), url, [AN_ENTRY]))


@pytest.mark.parametrize("around", ["{}\n", "Bearer {}", "{}\x7f", "{}\u2026"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    around: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, around.format("dmcp_secret"))

    with pytest.raises(InvalidArgumentError, match=f"^{TOKEN_VARIABLE} holds") as refused:
        asyncio.run(
            sign_deletions(Settings(data_dir=tmp_path), "http://127.0.0.1:1/mcp", [AN_ENTRY])
        )

    assert "secret" not in str(refused.value)
