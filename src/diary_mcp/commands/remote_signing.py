"""Signing entries of a diary over HTTP, for an agent that does not trust the server.

What is signed is computed here from the entry as it was read; of the server's statement only the
place in the chain is believed, and that is compared with the head of the last time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from pydantic import BaseModel, TypeAdapter, ValidationError

from diary_mcp.commands.statements import sign_text
from diary_mcp.domain.entry import Entry, Signature
from diary_mcp.domain.errors import ConflictError, DiaryError, InvalidArgumentError
from diary_mcp.domain.fields import EntryId
from diary_mcp.domain.signing import ChainHead, Opening, Statement
from diary_mcp.domain.version import content_hash
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.service.chain.statements import commit, hash_bytes, read_statement
from diary_mcp.settings import Settings

_TIMEOUT_S = 30


class _Request(BaseModel):
    request_id: str
    statement: str
    salt: str | None


async def sign_remotely(
    settings: Settings, url: str, token: str | None, references: Sequence[str]
) -> list[str]:
    """Reads, checks and signs each entry; a line for each.

    Raises:
        ConflictError: the statement is not about the entry that was read.
        InvalidArgumentError: the server refuses, or there is none.
    """
    try:
        return await _sign_all(settings, url, token, references)
    except* (DiaryError, httpx2.HTTPError) as group:
        # Task groups of the client wrap what is raised inside them.
        problem = _first_of(group)
    if isinstance(problem, DiaryError):
        raise problem
    raise InvalidArgumentError(f"{url} does not answer ({problem}).") from problem


async def _sign_all(
    settings: Settings, url: str, token: str | None, references: Sequence[str]
) -> list[str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT_S) as http_client:
        transport = streamable_http_client(url, http_client=http_client)
        async with Client(transport, read_timeout_seconds=_TIMEOUT_S) as client:
            return [await _sign_one(settings, client, reference) for reference in references]


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def _sign_one(settings: Settings, client: Client, reference: str) -> str:
    key = AgentKeys(settings.data_dir, settings.agent).load()[0].public_key
    asked = {"entry_id": reference, "key": key}
    request = _Request.model_validate(await _call(client, "diary_signature_request", asked))
    try:
        statement = read_statement(request.statement)
    except ValueError as error:
        raise ConflictError(f"The server's statement {error}; nothing was signed.") from error
    if statement.act != "delete":
        _check_same(await _read(client, reference, statement), statement, request.salt)
    remembered = _Heads(settings)
    remembered.check(statement)
    signature = sign_text(settings, statement, request.statement)
    handed_in = {"request_id": request.request_id, "signature": signature}
    await _call(client, "diary_sign", handed_in)
    head = ChainHead(sequence=statement.sequence, hash=hash_bytes(request.statement.encode()))
    remembered.keep(head)
    return f"signed {statement.entry} version {statement.version}, head {head}"


class _Heads:
    """The head that this machine saw last of the agent's chain."""

    def __init__(self, settings: Settings) -> None:
        self._path: Path = settings.data_dir / "keys" / "heads" / settings.agent

    def check(self, statement: Statement) -> None:
        """Makes sure that the statement goes on from there.

        Raises:
            ConflictError: the server shows a chain that is shorter, or another one.
        """
        known = self._read()
        if known is None or statement.sequence > known.sequence + 1:
            return
        if statement.sequence <= known.sequence or statement.previous != known.hash:
            raise ConflictError(
                f"This machine saw the chain of {statement.owner} end at {known}, and the server "
                f"wants link {statement.sequence} signed: links were taken away or replaced. "
                f"Nothing was signed. If that is meant, remove {self._path}."
            )

    def keep(self, head: ChainHead) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.tmp")
        draft.write_text(head.model_dump_json(), "utf-8")
        draft.replace(self._path)

    def _read(self) -> ChainHead | None:
        try:
            return ChainHead.model_validate_json(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise InvalidArgumentError(
                f"{self._path} holds no head of a chain. Fix or remove it."
            ) from error


async def _read(client: Client, reference: str, statement: Statement) -> Entry:
    """The entry in full, with the fields that a result leaves out."""
    shown = dict(await _call(client, "diary_get", {"entry_id": reference}))
    while (start := shown.pop("next_from", None)) is not None:
        part = await _call(client, "diary_get", {"entry_id": reference, "from": start})
        shown["content"] = f"{shown['content']}{part['content']}"
        shown["next_from"] = part.get("next_from")
    superseded = TypeAdapter(list[EntryId]).validate_python(shown.pop("supersedes", ()))
    created_at = shown.get("created_at", shown["date"])
    left_out: dict[str, object] = {
        "key": None,
        "owner": statement.owner,
        "author": statement.owner,
        "session": None,
        "title": None,
        "tags": (),
        "importance": 0.5,
        "superseded_by": None,
        "created_at": created_at,
        "updated_at": created_at,
        "role": "owner",
        "sharing": "settled",
    }
    unused: dict[str, object] = {"content_hash": "", "signature": Signature()}
    fields = {**left_out, **shown, **unused, "supersedes": next(iter(superseded), None)}
    return Entry.model_validate(fields, strict=False)


async def _call(client: Client, tool: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
    result = await client.call_tool(tool, dict(arguments))
    if result.is_error or result.structured_content is None:
        told = [block.text for block in result.content if isinstance(block, TextContent)]
        raise InvalidArgumentError(f"the server says: {told[0] if told else 'nothing'}")
    return result.structured_content


def _check_same(entry: Entry, statement: Statement, salt: str | None) -> None:
    computed = content_hash(entry)
    opening = Opening(
        created_at=entry.created_at, key=entry.key, salt=salt or "", updated_at=entry.updated_at
    )
    superseded = None if statement.supersedes is None else statement.supersedes.entry
    said = (statement.entry, statement.version, statement.commitment, superseded)
    if said != (entry.id, entry.version, commit(computed, opening), entry.supersedes):
        raise ConflictError(
            f"The server's statement is not about entry {entry.id} as it was read; nothing was "
            "signed. Read the entry again."
        )
