"""Entries as a person reads them on a terminal: colours and a pager there, plain text elsewhere."""

import os
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import click

from diary_mcp.domain.fields import printable_lines
from diary_mcp.server.tools.results import EntryResult, FoundEntry, ListedEntry, ShownEntry

_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "decision": "green",
        "discovery": "cyan",
        "problem": "red",
        "handoff": "magenta",
        "correction": "yellow",
    }
)
_TYPE_WIDTH = 10
_DEFAULT_PAGER_OPTIONS = "-FRX"  # no pager for what fits, colours, and the text stays


def page(text: str) -> None:
    """Prints text that was made here; what comes from entries is to be made printable before."""
    colour = False if os.environ.get("NO_COLOR") else None
    if sys.stdin.isatty() and sys.stdout.isatty():
        os.environ.setdefault("LESS", _DEFAULT_PAGER_OPTIONS)
        click.echo_via_pager(text if colour is None else click.unstyle(text), color=colour)
    else:
        click.echo(text, color=colour, nl=not text.endswith("\n"))


def entry_text(entry: EntryResult) -> str:
    """One entry in full."""
    title = [click.style(line(entry.title), bold=True)] if entry.title else []
    told = [line(entry.untrusted), ""] if entry.untrusted else []
    facts = _facts(entry) | {
        "author": entry.author,
        "session": entry.session,
        "importance": None if entry.importance is None else f"{entry.importance:g}",
        "supersedes": ", ".join(map(str, entry.supersedes or ())) or None,
        "superseded by": None if entry.superseded_by is None else str(entry.superseded_by),
        "signature": None if entry.signature == "signed" else entry.signature,
        "shared by": entry.shared_by,
        "note": entry.note,
    }
    head = [f"{_dim(f'{name}:')} {line(value)}" for name, value in facts.items() if value]
    when = _dim(f"{entry.date:%Y-%m-%d %H:%M} UTC, version {entry.version}")
    return "\n".join(
        [*title, f"{_type(entry)}  {when}", *head, "", *told, printable_lines(entry.content)]
    )


def list_text(entries: Iterable[ListedEntry]) -> str:
    """Entries as a list, two or three lines each."""
    return "\n".join("\n".join(_listed(entry)) for entry in entries)


def _listed(entry: ListedEntry) -> Iterable[str]:
    name = line(entry.title or entry.snippet)
    when = _dim(f"{entry.date:%Y-%m-%d %H:%M}")
    yield f"{when}  {_type(entry)}  {click.style(name, bold=True)}"
    if entry.title and entry.snippet:
        yield f"    {line(entry.snippet)}"
    facts = [f"{name} {line(value)}" for name, value in _facts(entry).items() if value]
    if isinstance(entry, FoundEntry):
        facts.append(f"score {entry.score:g}")
    yield "    " + _dim("  ".join(facts))


def _facts(entry: ShownEntry) -> dict[str, str | None]:
    """What an entry is called, whose it is, and its tags."""
    return {
        "id": str(entry.id),
        "key": entry.key,
        "owner": entry.owner,
        "tags": ", ".join(entry.tags or ()) or None,
    }


def _type(entry: ShownEntry) -> str:
    return click.style(f"{entry.type:<{_TYPE_WIDTH}}", fg=_COLOURS.get(entry.type))


def line(text: str) -> str:
    """The text on one line of any terminal."""
    return printable_lines(" ".join(text.split()))


def _dim(text: str) -> str:
    return click.style(text, dim=True)
