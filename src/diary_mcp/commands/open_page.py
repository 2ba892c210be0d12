"""`diary-mcp open`: the diary in the browser."""

import webbrowser
from contextlib import suppress
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click

from diary_mcp.commands.options import with_settings
from diary_mcp.commands.serve import leave
from diary_mcp.settings import Settings

_LEADING_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<title>Diary</title>
<meta http-equiv="refresh" content="0; url={link}">
<p><a href="{link}">Open the diary</a></p>
"""


@click.command("open")
@with_settings
@click.option("--no-browser", is_flag=True, help="Only print the link.")
def open_page(settings: Settings, *, no_browser: bool) -> None:
    """Show the diary in the browser, on this machine only, until Ctrl-C."""
    from diary_mcp.commands.status import look_at  # noqa: PLC0415  # imports the store
    from diary_mcp.serving.page import serve_page  # noqa: PLC0415  # imports uvicorn
    from diary_mcp.web.page_requests import Health  # noqa: PLC0415  # imports the templates

    async def look(whole: bool) -> Health:  # noqa: FBT001  # the only thing there is to say
        found = await look_at(settings, compares=whole)
        facts = found.model_dump(exclude={"ok", "problems", "notes"})
        return Health(facts, tuple(found.problems), tuple(found.notes))

    with TemporaryDirectory(prefix="diary-mcp-") as folder:

        def tell(link: str) -> None:
            click.echo(link)
            click.echo("This link signs in one browser, once. Ctrl-C closes the page.", err=True)
            if not no_browser:
                _show(link, Path(folder))

        status = anyio.run(serve_page, settings, look, tell)
    leave(status)


def _show(link: str, folder: Path) -> None:
    """Opens the browser by way of a file that only this user can read.

    The address itself would stand in the browser's command line, for everybody on this machine.
    """
    leading = folder / "open.html"
    leading.write_text(_LEADING_PAGE.format(link=escape(link)), encoding="utf-8")
    with suppress(webbrowser.Error):
        webbrowser.open(leading.as_uri())
