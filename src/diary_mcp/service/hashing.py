"""The content hash: one value that changes when anything that makes an entry changes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import rfc8785

from diary_mcp.domain.fields import AgentName, EntryId, EntryType, format_time


def content_hash(
    *,
    entry_id: EntryId,
    owner: AgentName,
    author: str,
    session: str | None,
    entry_type: EntryType,
    title: str | None,
    content: str,
    tags: Sequence[str],
    importance: float,
    date: datetime,
    version: int,
) -> str:
    """`sha256:` and the hex digest of the entry's canonical form.

    Source: RFC 8785 (JSON Canonicalization Scheme) over the members named below, in UTF-8;
    times are RFC 3339 in UTC. docs/tools.md gives an example to check against.
    """
    canonical = rfc8785.dumps(
        {
            "author": author,
            "content": content,
            "date": format_time(date),
            "id": str(entry_id),
            "importance": importance,
            "owner": owner,
            "session": session,
            "tags": list(tags),
            "title": title,
            "type": entry_type,
            "version": version,
        }
    )
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def arguments_hash(arguments: dict[str, object]) -> str:
    """Tells two calls with the same idempotency key apart; `arguments` are JSON values."""
    return hashlib.sha256(rfc8785.dumps(arguments)).hexdigest()  # pyright: ignore[reportArgumentType]
