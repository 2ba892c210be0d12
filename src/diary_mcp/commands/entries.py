"""`diary-mcp write`, `show`, `list`, `search`, `edit`, `delete` and `tags`."""

import os
import shlex
import sys
import tempfile
from pathlib import Path

import click

from diary_mcp.commands.options import errors_told, fail, with_settings
from diary_mcp.commands.purge import purge_disk, require_embedded
from diary_mcp.commands.reading import entry_text, line, list_text, page
from diary_mcp.commands.tool_commands import Calls, call, echo_json, run, with_arguments
from diary_mcp.commands.wording import for_terminal
from diary_mcp.server.tools.results import (
    CreatedResult,
    DeletedResult,
    EntriesResult,
    EntryResult,
    SearchResult,
    TagsResult,
    UpdatedResult,
)
from diary_mcp.settings import Settings

# More than any entry may hold, so that the tool tells what is too long.
_MAX_INPUT_BYTES = 4_000_000

Given = dict[str, object]
as_json_option = click.option("--json", "as_json", is_flag=True, help="The tool's result as JSON.")


@click.command()
@with_settings
@click.argument("text", required=False)
@with_arguments("diary_create", besides={"content"})
@as_json_option
def write(settings: Settings, *, text: str | None, given: Given, as_json: bool) -> None:
    """Write an entry: TEXT, or what comes on standard input. Prints its id."""
    content = _read_input() if text is None or text == "-" else text
    created = call(settings, "diary_create", {"content": content, **given}, CreatedResult)
    if as_json:
        echo_json(created)
        return
    click.echo(str(created.id))
    if created.notice:
        click.echo(line(for_terminal(created.notice)), err=True)
    for each in created.similar or ():
        click.echo(f"  {each.id}  {line(each.title or '')}", err=True)


@click.command()
@with_settings
@click.argument("reference", metavar="REF")
@with_arguments("diary_get", besides={"entry_id"})
@as_json_option
def show(settings: Settings, *, reference: str, given: Given, as_json: bool) -> None:
    """Show an entry, by its id or key."""
    asked: Given = {"entry_id": reference, **given}
    if as_json:
        echo_json(call(settings, "diary_get", asked, EntryResult))
        return

    async def work(calls: Calls) -> EntryResult:
        return await _read_whole(calls, asked)

    page(entry_text(run(settings, work)))


@click.command("list")
@with_settings
@with_arguments("diary_list")
@as_json_option
def list_entries(settings: Settings, *, given: Given, as_json: bool) -> None:
    """List entries, newest first."""
    found = call(settings, "diary_list", given, EntriesResult)
    if as_json:
        echo_json(found)
        return
    if found.entries:
        page(list_text(found.entries))
    else:
        click.echo("No entries.", err=True)
    _tell_cursor(found.next_cursor)


@click.command()
@with_settings
@click.argument("query")
@with_arguments("diary_search", besides={"query"})
@as_json_option
def search(settings: Settings, *, query: str, given: Given, as_json: bool) -> None:
    """Find entries by a question or words, the best first."""
    found = call(settings, "diary_search", {"query": query, **given}, SearchResult)
    if as_json:
        echo_json(found)
        return
    if found.hits:
        page(list_text(found.hits))
    else:
        click.echo("Nothing found.", err=True)
    if found.notice:
        click.echo(line(for_terminal(found.notice)), err=True)
    _tell_cursor(found.next_cursor)


@click.command()
@with_settings
@click.argument("reference", metavar="REF")
@with_arguments("diary_update", besides={"entry_id"})
@as_json_option
def edit(settings: Settings, *, reference: str, given: Given, as_json: bool) -> None:
    """Change an entry: what the options say, or else its content, in $EDITOR.

    Refused where the entry was changed meanwhile.
    """
    asked: Given = {"entry_id": reference, **given}
    if given.keys() <= {"expected_version"}:
        updated = _edit(settings, asked)
    else:
        updated = run(settings, lambda calls: _update(calls, asked))
    if updated is None:
        click.echo("Nothing was changed.", err=True)
    elif as_json:
        echo_json(updated)
    else:
        click.echo(f"{updated.id} version {updated.version}")


@click.command()
@with_settings
@click.argument("reference", metavar="REF")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--purge", "purges", is_flag=True, help="Off the disk too, as `purge` does.")
@as_json_option
def delete(settings: Settings, *, reference: str, yes: bool, purges: bool, as_json: bool) -> None:
    """Delete an entry for good: content, history and shares."""
    asked: Given = {"entry_id": reference}
    if purges:
        with errors_told():
            require_embedded(settings)
    if not yes:
        _ask_before_deleting(settings, asked)
    deleted = call(settings, "diary_delete", asked, DeletedResult)
    if purges:
        with errors_told():
            purge_disk(settings)
    if as_json:
        echo_json(deleted)
    else:
        click.echo(f"deleted {deleted.entry_id}")


@click.command()
@with_settings
@with_arguments("diary_tags")
@as_json_option
def tags(settings: Settings, *, given: Given, as_json: bool) -> None:
    """List tags, the most used first, with the number of their entries."""
    found = call(settings, "diary_tags", given, TagsResult)
    if as_json:
        echo_json(found)
    elif found.tags:
        page("\n".join(f"{each.count:>6}  {line(each.tag)}" for each in found.tags))
    else:
        click.echo("No tags.", err=True)


def _read_input() -> str:
    if sys.stdin.isatty():
        click.echo("Write the entry; Ctrl-D on a line of its own ends it.", err=True)
    # What is not UTF-8 becomes what the tool refuses.
    return sys.stdin.buffer.read(_MAX_INPUT_BYTES).decode("utf-8", "surrogateescape")


async def _read_whole(calls: Calls, asked: Given) -> EntryResult:
    """The entry with all the parts of a long content that follow the one that was asked for."""
    entry = await calls.call("diary_get", asked, EntryResult)
    parts, start = [entry.content], entry.next_from
    while start is not None:
        rest: Given = {**asked, "version": entry.version, "from": start}
        part = await calls.call("diary_get", rest, EntryResult)
        parts.append(part.content)
        start = part.next_from
    return entry.model_copy(update={"content": "".join(parts), "next_from": None})


async def _update(calls: Calls, asked: Given) -> UpdatedResult:
    if "expected_version" not in asked:
        current = await calls.call("diary_get", {"entry_id": asked["entry_id"]}, EntryResult)
        asked = {**asked, "expected_version": current.version}
    return await calls.call("diary_update", asked, UpdatedResult)


def _edit(settings: Settings, asked: Given) -> UpdatedResult | None:
    """The database is not kept open while somebody thinks."""
    if not _editor() and not sys.stdin.isatty():
        fail("invalid_argument: There is no terminal to edit in: give --content, or set EDITOR.")
    current = run(settings, lambda calls: _read_whole(calls, {"entry_id": asked["entry_id"]}))
    draft = _write_draft(current.content)
    _open_editor(draft)
    content = _read_draft(draft, like=current.content)
    if content == current.content:
        draft.unlink()
        return None
    if not content.strip():
        draft.unlink()
        fail(
            "invalid_argument: Nothing is left of the text, so nothing was changed. To delete the "
            f"entry, use `diary-mcp delete {shlex.quote(str(asked['entry_id']))}`."
        )
    change: Given = {"expected_version": current.version, **asked, "content": content}
    try:
        updated = run(settings, lambda calls: calls.call("diary_update", change, UpdatedResult))
    except SystemExit:
        click.echo(f"What you wrote is kept in {line(str(draft))}", err=True)
        raise
    draft.unlink()
    return updated


def _write_draft(content: str) -> Path:
    with tempfile.NamedTemporaryFile(prefix="diary-", suffix=".md", delete=False) as file:
        file.write(content.encode())
    return Path(file.name)


def _read_draft(draft: Path, *, like: str) -> str:
    content = draft.read_bytes().decode("utf-8", "surrogateescape")
    # Editors end the last line, whether it was ended or not.
    if content.endswith("\n") and not like.endswith("\n"):
        return content[:-1]
    return content


def _open_editor(draft: Path) -> None:
    try:
        click.edit(filename=str(draft), require_save=False)
    except click.ClickException as error:
        draft.unlink()
        editor = shlex.quote(_editor() or "vi")
        fail(f"unavailable: {error.message}. Set EDITOR to another one than {editor}.")


def _editor() -> str:
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""


def _ask_before_deleting(settings: Settings, asked: Given) -> None:
    if not sys.stdin.isatty():
        fail("invalid_argument: Deleting is for good: give --yes where nobody can be asked.")
    entry = call(settings, "diary_get", asked, EntryResult)
    name = line(entry.title or entry.content[:60])
    if not click.confirm(f"Delete {name!r} ({entry.id}) for good?", err=True):
        fail("Nothing was deleted.")


def _tell_cursor(cursor: str | None) -> None:
    if cursor is not None:
        click.echo(f"There are more: repeat the command with --cursor {cursor}", err=True)
