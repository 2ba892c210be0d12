"""The bundle for Claude Desktop: valid, packed, and a server once it is unpacked."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from support.in_memory import good
from support.node_tools import MCPB
from support.paths import ROOT

pytestmark = pytest.mark.anyio

_SOURCE = ROOT / "deploy" / "mcpb"


def test_the_manifest_is_valid() -> None:
    done = MCPB.run("validate", _SOURCE / "manifest.json")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_tag_of_another_version_builds_no_release(tmp_path: Path) -> None:
    words = [str(ROOT / "deploy" / "release"), str(tmp_path / "dist"), "v0.0.0"]

    done = subprocess.run(words, capture_output=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(b"The tag is v0.0.0, and pyproject.toml says ")
    assert list(tmp_path.iterdir()) == []


async def test_the_packed_bundle_starts_a_server(tmp_path: Path, database_url: str) -> None:
    bundle, unpacked = tmp_path / "diary-mcp.mcpb", tmp_path / "unpacked"
    packer = await anyio.to_thread.run_sync(MCPB.path)

    built = await anyio.run_process(
        [str(_SOURCE / "build"), str(bundle)], env={**os.environ, "MCPB": str(packer)}, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    await anyio.to_thread.run_sync(MCPB.run, "unpack", bundle, unpacked)
    server = StdioServerParameters(
        command=sys.executable,
        args=[str(unpacked / "server.py")],
        env={
            "PYTHONPATH": str(unpacked / "src"),
            "DIARY_MCP_DATABASE_URL": database_url,
            "DIARY_MCP_AGENT": "local",
            "DIARY_MCP_KETO_READ_URL": "",
            "DIARY_MCP_KETO_WRITE_URL": "",
        },
        cwd=tmp_path,
    )
    async with Client(server, read_timeout_seconds=60) as client:
        identity = await good(client, "diary_whoami")
        prompts = (await client.list_prompts()).prompts

    assert identity["agent"] == "local"
    assert len(prompts) == 6
    assert {path.name for path in unpacked.iterdir()} >= {"manifest.json", "uv.lock", "LICENSE"}
    assert not (unpacked / "tests").exists()
