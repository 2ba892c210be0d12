"""Signing for a diary over HTTP, for an agent that does not trust the server.

What is signed is built here: from the entry as it was read and shown, or from the command that
names a key or a deletion. Of the server's statement only that is taken over which cannot be known
here: the place in the chain, the time, the salt, and by which hash a superseded entry is known.
"""

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from unicodedata import normalize
from urllib.parse import urlsplit

import click
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent
from pydantic import BaseModel, ValidationError

from diary_mcp.commands.sign import sign_text
from diary_mcp.domain.chain import (
    LINK_FORMAT,
    LIST_FORMAT,
    ChainHead,
    Opening,
    Statement,
    SupersededEntry,
    as_said,
)
from diary_mcp.domain.errors import ConflictError, DiaryError, InvalidArgumentError
from diary_mcp.domain.fields import (
    MAX_CONTENT_CHARACTERS,
    AgentName,
    EntryId,
    EntryType,
    Time,
    as_entry_id,
    format_time,
    printable,
)
from diary_mcp.domain.version import Version, content_hash
from diary_mcp.keys.chain_memory import ChainMemoryFile
from diary_mcp.keys.key_files import AgentKeys
from diary_mcp.outgoing_http import certificates_for, proxy_for
from diary_mcp.service.chain.links import KeyChange
from diary_mcp.service.chain.statements import canonical, commit, hash_bytes, read_statement
from diary_mcp.service.ports.chain import Head
from diary_mcp.settings import TOKEN_VARIABLE, Settings

_TIMEOUT_S = 30
_MAX_TOLD = 300
_REFUSED_STATUS = frozenset({401, 403})

Work = Callable[["_Session"], Awaitable[list[str]]]


class _Request(BaseModel):
    request_id: str
    statement: str
    salt: str | None = None


class _RemoteEntry(BaseModel):
    """An entry as the server shows it, where what is at its default may be left out."""

    id: EntryId
    key: str | None = None
    owner: AgentName | None = None
    author: str | None = None
    session: str | None = None
    type: EntryType = "note"
    title: str | None = None
    content: str
    tags: tuple[str, ...] = ()
    importance: float = 0.5
    supersedes: EntryId | tuple[EntryId, ...] | None = None
    version: int = 1
    date: Time
    created_at: Time | None = None
    updated_at: Time | None = None
    next_from: int | None = None

    @property
    def superseded(self) -> Sequence[EntryId]:
        """The entries that it supersedes."""
        if isinstance(self.supersedes, tuple):
            return self.supersedes
        return () if self.supersedes is None else (self.supersedes,)


async def sign_entries(
    settings: Settings, url: str, references: Sequence[str], content: str | None, *, ask: bool
) -> list[str]:
    """Reads, shows and signs each entry; a line for each.

    Args:
        settings: whose key signs.
        url: the diary's MCP endpoint.
        references: ids or keys of entries.
        content: what the one entry must say, to the character; it is not shown then.
        ask: whether a person is to agree first.

    Raises:
        ConflictError: the statement, or the content, is not what it must be.
        InvalidArgumentError: the server refuses, or there is none.
    """

    async def work(session: _Session) -> list[str]:
        return [await session.sign_entry(each, content, ask=ask) for each in references]

    return await _with_session(settings, url, work)


async def sign_deletions(settings: Settings, url: str, references: Sequence[str]) -> list[str]:
    """Signs that the named entries are deleted; likewise."""
    ids = [as_entry_id(reference) for reference in references]
    if None in ids:
        raise InvalidArgumentError("Name what was deleted by its id: a key is free again then.")

    async def work(session: _Session) -> list[str]:
        return [await session.sign_deletion(each) for each in ids if each is not None]

    return await _with_session(settings, url, work)


async def change_key(settings: Settings, url: str, change: KeyChange) -> list[str]:
    """Signs that the named key is admitted or revoked; likewise."""

    async def work(session: _Session) -> list[str]:
        return [await session.sign_key_change(change)]

    return await _with_session(settings, url, work)


async def _with_session(settings: Settings, url: str, work: Work) -> list[str]:
    if not _is_http_url(url):
        raise InvalidArgumentError("--url must be a URL such as http://host:8722/mcp.")
    token = os.environ.get(TOKEN_VARIABLE)
    if token and not re.fullmatch(r"[!-~]+", token):
        # Not left to the client, whose error shows the whole of it.
        raise InvalidArgumentError(
            f"{TOKEN_VARIABLE} holds a character that no token has, such as a line break or a "
            "space. Set it to the token alone."
        )
    headers = {} if not token else {"Authorization": f"Bearer {token}"}
    statuses: list[int] = []

    async def note(response: httpx2.Response) -> None:  # as it is called
        statuses.append(response.status_code)

    try:
        async with httpx2.AsyncClient(
            headers=headers,
            timeout=_TIMEOUT_S,
            event_hooks={"response": [note]},
            proxy=proxy_for(url),
            verify=certificates_for(url),
            trust_env=False,
        ) as http_client:
            transport = streamable_http_client(url, http_client=http_client)
            async with Client(transport, read_timeout_seconds=_TIMEOUT_S) as client:
                return await work(_Session(settings, url, client))
    except* (DiaryError, MCPError, httpx2.HTTPError, OSError, ValueError) as group:
        # Task groups of the client wrap what is raised inside them.
        problem = _first_of(group)
    if isinstance(problem, DiaryError):
        raise problem
    raise _unreachable(statuses[-1] if statuses else None, problem) from problem


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or half of an IPv6 address
        return False


def _unreachable(status: int | None, problem: Exception) -> InvalidArgumentError:
    if status in _REFUSED_STATUS:
        return InvalidArgumentError(
            f"The server refuses the token (HTTP {status}). Set {TOKEN_VARIABLE} to a token of the "
            "agent's with the scopes diary:read and diary:write; `diary-mcp agent token NAME` "
            "makes one where the server runs."
        )
    if status is not None and status >= 400:  # noqa: PLR2004  # HTTP
        why = f"it answers with HTTP {status}"
    elif isinstance(problem, ValidationError):
        why = "its answer is not one of a diary"
    else:
        why = printable(str(problem))[:_MAX_TOLD] or type(problem).__name__
    return InvalidArgumentError(
        f"No diary answers at the address that --url names: {why}. Look whether the server runs, "
        f"and whether the address ends in /mcp."
    )


def _first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    errors = _all_of(group)
    return next((error for error in errors if isinstance(error, DiaryError)), errors[0])


def _all_of(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _all_of(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


@dataclass
class _Session:
    """One agent's calls of one server."""

    settings: Settings
    url: str
    client: Client

    async def sign_entry(self, reference: str, content: str | None, *, ask: bool) -> str:
        entry = await self._read(reference)
        if not _is_named(entry, reference):
            raise ConflictError(
                f"The server gives entry {entry.id} in the place of the one that was named; "
                "nothing was signed."
            )
        if content is not None and entry.content != content:
            raise ConflictError(
                f"Entry {entry.id} does not say what --content gives; nothing was signed."
            )
        _show(entry, is_given=content is not None)
        if ask and not click.confirm("Sign this?", err=True):
            raise ConflictError("Nothing was signed.")

        def build(said: Statement, salt: str | None) -> Statement:
            return _entry_statement(entry, self.settings.agent, said, salt)

        return await self._sign({"entry_id": str(entry.id)}, build)

    async def sign_deletion(self, entry_id: EntryId) -> str:
        def build(said: Statement, _salt: str | None) -> Statement:
            # Which version was signed last, and with which commitment, is in the chain alone.
            return _statement(
                said, act="delete", entry=entry_id, version=said.version, commitment=said.commitment
            )

        return await self._sign({"entry_id": str(entry_id)}, build)

    async def sign_key_change(self, change: KeyChange) -> str:
        def build(said: Statement, _salt: str | None) -> Statement:
            return _statement(said, act=change.act, subject=change.key)

        return await self._sign({change.act: change.key}, build)

    async def _read(self, reference: str) -> _RemoteEntry:
        """The whole entry, in as many parts as the server gives it in."""
        found = await self._call("diary_get", {"entry_id": reference})
        entry = _RemoteEntry.model_validate(found)
        content, next_from = entry.content, entry.next_from
        while next_from is not None and len(content) <= MAX_CONTENT_CHARACTERS:
            asked = {"entry_id": str(entry.id), "from": next_from}
            part = _RemoteEntry.model_validate(await self._call("diary_get", asked))
            if part.version != entry.version:
                raise ConflictError(f"Entry {entry.id} was changed a moment ago; try again.")
            content, next_from = content + part.content, part.next_from
        return entry.model_copy(update={"content": content})

    async def _sign(
        self, asked: Mapping[str, str], build: Callable[[Statement, str | None], Statement]
    ) -> str:
        keys = AgentKeys(self.settings.data_dir, self.settings.agent)
        key = keys.load()[0].public_key
        found = await self._call("diary_signature_request", {**asked, "key": key})
        request = _Request.model_validate(found)
        try:
            said = read_statement(request.statement)
        except ValueError as error:
            raise ConflictError(f"The server's statement {error}; nothing was signed.") from error
        own = build(said, request.salt).model_copy(
            update={"owner": self.settings.agent, "key": key}
        )
        _check_same(own, said)
        memory = ChainMemoryFile(self.settings.data_dir, self.settings.agent, self.url)
        added = _check_place(own, memory)
        form = canonical(own)
        signature = sign_text(self.settings, own, form.decode())
        await self._call("diary_sign", {"request_id": request.request_id, "signature": signature})
        head = ChainHead(sequence=own.sequence, hash=hash_bytes(form))
        memory.remember(
            Head(
                sequence=head.sequence,
                hash=head.hash,
                signed_at=own.time,
                valid_keys=[],
                known_keys=[],
            )
        )
        return f"signed {own.act} {own.subject or own.entry}, head {head}{added}"

    async def _call(self, tool: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        try:
            result = await self.client.call_tool(tool, dict(arguments))
        except RuntimeError as error:  # the SDK's, of a result that its schema does not allow
            raise InvalidArgumentError(
                f"The server's answer to {tool} is not one of a diary."
            ) from error
        if result.is_error or result.structured_content is None:
            told = [block.text for block in result.content if isinstance(block, TextContent)]
            said = printable(told[0])[:_MAX_TOLD] if told else "nothing"
            raise InvalidArgumentError(f"The server says: {said}")
        return cast("Mapping[str, object]", result.structured_content)


def _is_named(entry: _RemoteEntry, reference: str) -> bool:
    """Whether the reference is the entry's id or key, composed or not."""
    entry_id = as_entry_id(reference)
    if entry_id is not None:
        return entry.id == entry_id
    return normalize("NFC", entry.key or "") == normalize("NFC", reference)


def _entry_statement(
    entry: _RemoteEntry, agent: AgentName, said: Statement, salt: str | None
) -> Statement:
    owner = entry.owner or agent
    created_at = entry.created_at or entry.date
    updated_at = entry.updated_at or created_at
    version = Version(
        id=entry.id,
        owner=owner,
        author=entry.author or owner,
        session=entry.session,
        type=entry.type,
        title=entry.title,
        content=entry.content,
        tags=entry.tags,
        importance=entry.importance,
        date=entry.date,
        version=entry.version,
        updated_at=updated_at,
        content_hash="",
    )
    opening = Opening(created_at=created_at, key=entry.key, salt=salt or "", updated_at=updated_at)
    known = {superseded.entry: superseded for superseded in said.superseded}
    superseded = [known.get(older) or _unknown(older) for older in entry.superseded]
    return _statement(
        said,
        # Whether it came from a file says nothing of what it says, so it may be either.
        act="import" if said.act == "import" else "write",
        entry=entry.id,
        version=entry.version,
        commitment=commit(content_hash(version), opening),
        supersedes=as_said(superseded),
    )


def _unknown(entry_id: EntryId) -> SupersededEntry:
    """An entry of which the server does not say by which hash it is known."""
    return SupersededEntry(content_hash=None, entry=entry_id, link=hash_bytes(b""))


def _statement(said: Statement, **members: object) -> Statement:
    """A statement of its own, at the place and the time of the server's."""
    blank = dict.fromkeys(
        ("commitment", "entry", "origin", "subject", "supersedes", "version"), None
    )
    place = {
        "format": LIST_FORMAT if isinstance(members.get("supersedes"), tuple) else LINK_FORMAT,
        "key": said.key,
        "owner": said.owner,
        "previous": said.previous,
        "sequence": said.sequence,
        "time": said.time,
    }
    try:
        return Statement.model_validate({**blank, **place, **members})
    except ValidationError as error:
        raise ConflictError(
            "The server's statement is of another kind than was asked for; nothing was signed."
        ) from error


def _check_same(own: Statement, said: Statement) -> None:
    different = [
        name for name in Statement.model_fields if getattr(own, name) != getattr(said, name)
    ]
    if different:
        raise ConflictError(
            f"The server wants something else signed than was asked for and shown (its "
            f"{', '.join(different)} differ); nothing was signed. Where the entry was changed a "
            "moment ago, try again. One that was imported with a signature of its own is signed "
            "on the machine that holds the diary."
        )


def _check_place(own: Statement, memory: ChainMemoryFile) -> str:
    """What cannot be checked of the place, to be told.

    Raises:
        ConflictError: the server shows a chain that is shorter, or another one.
    """
    known = memory.recall()
    if known is None:
        return "; the first that this machine sees of this chain"
    if own.sequence > known.sequence + 1:
        count = own.sequence - known.sequence - 1
        return f"; {count} links before it are not of this machine: check them in a bundle"
    if own.sequence <= known.sequence or own.previous != known.hash:
        raise ConflictError(
            f"This machine saw the chain of {own.owner} end at {known.sequence}:{known.hash}, and "
            f"the server wants link {own.sequence} signed: links were taken away or replaced. "
            f"Nothing was signed. If that is meant, move {memory.path} away."
        )
    return ""


def _show(entry: _RemoteEntry, *, is_given: bool) -> None:
    """The entry for a person: every line marked, so that none can pass for ours."""
    said = entry.model_dump(exclude={"content", "next_from"}, exclude_none=True)
    for name, value in said.items():
        told = format_time(value) if isinstance(value, datetime) else str(value)
        click.echo(f"  {name}: {printable(told)}", err=True)
    if not is_given:
        for line in entry.content.split("\n"):
            click.echo(f"  | {printable(line)}", err=True)
