"""The view: to whom it is offered, what it costs, and what it cannot do."""

import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from mcp.client.client import Client
from mcp.client.extension import ClientExtension, advertise
from mcp.server.apps import APP_MIME_TYPE as SDKS_MIME_TYPE
from mcp.server.apps import EXTENSION_ID as SDKS_EXTENSION_ID
from mcp_types import TextResourceContents

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.server.build import build_server
from diary_mcp.server.caller import Caller
from diary_mcp.server.tools.catalogue import HTTP_TOOLS
from diary_mcp.server.view.apps import APP_MIME_TYPE, EXTENSION_ID
from diary_mcp.server.view.view import VIEW_URI, view_html
from diary_mcp.service.diary import Diary
from support.clients import ERAS, Era
from support.listed_tools import tools_on_stdio

pytestmark = pytest.mark.anyio

APPS = "io.modelcontextprotocol/ui"
HTML = "text/html;profile=mcp-app"
WITH_APPS = [advertise(APPS, {"mimeTypes": [HTML]})]
WITH_OTHER_APPS = [advertise(APPS, {"mimeTypes": ["text/uri-list"]})]
MAX_CHARACTERS = 16_000


@asynccontextmanager
async def connected(era: Era, extensions: Sequence[ClientExtension] = ()) -> AsyncGenerator[Client]:
    """A client of a server whose diary never comes up."""

    async def no_diary() -> Diary:
        raise UnavailableError("There is no database.")

    server = build_server(no_diary, lambda _context: Caller(AgentName("alice")))
    mode = "legacy" if era == "2025-11-25" else "auto"
    async with Client(server, mode=mode, extensions=extensions, cache=None) as client:
        yield client


def test_the_names_of_mcp_apps_are_the_sdks() -> None:
    assert (EXTENSION_ID, APP_MIME_TYPE) == (SDKS_EXTENSION_ID, SDKS_MIME_TYPE)


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_with_apps_is_told_which_tools_have_a_view(era: Era) -> None:
    async with connected(era, WITH_APPS) as client:
        listed = (await client.list_tools()).tools

    views = {tool.name: tool.meta for tool in listed if tool.meta is not None}
    assert views.keys() == {"diary_get", "diary_list", "diary_search", "diary_reflect"}
    assert all(meta == {"ui": {"resourceUri": VIEW_URI}} for meta in views.values())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("extensions", [[], WITH_OTHER_APPS], ids=["no apps", "other apps"])
async def test_a_client_without_apps_is_told_of_no_view(
    era: Era, extensions: Sequence[ClientExtension]
) -> None:
    async with connected(era, extensions) as client:
        listed = (await client.list_tools()).tools

    on_the_wire = [
        tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed
    ]
    assert on_the_wire == tools_on_stdio()


@pytest.mark.parametrize("era", ERAS)
async def test_the_view_is_read_while_the_diary_is_still_coming_up(era: Era) -> None:
    async with connected(era) as client:
        (contents,) = (await client.read_resource(VIEW_URI)).contents

    assert isinstance(contents, TextResourceContents)
    assert (contents.uri, contents.mime_type) == (VIEW_URI, HTML)
    assert contents.meta == {"ui": {"prefersBorder": True}}
    assert contents.text == view_html()


def test_all_tools_stay_small_with_their_views_too() -> None:
    listed = [
        tool.described(with_view=True).model_dump(mode="json", by_alias=True, exclude_none=True)
        for tool in HTTP_TOOLS.values()
    ]

    assert len(json.dumps({"tools": listed}, separators=(",", ":"))) <= MAX_CHARACTERS


def test_the_view_is_one_document_that_loads_nothing() -> None:
    html = view_html()

    assert html.startswith('<!doctype html>\n<html lang="en">\n<head>\n')
    assert "{{" not in html
    assert (
        re.findall(r"\b(?:src|srcset|href|action)\s*=|@import|url\(|\bfetch\(|import\(", html) == []
    )
    assert "default-src 'none'" in html
    assert len(html.encode()) < 50_000


def test_the_view_has_no_way_to_make_code_of_text() -> None:
    sinks = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|setHTML|"
        r"createContextualFragment|\beval\b|\bFunction\(|setTimeout|setInterval|location"
    )

    assert re.findall(sinks, view_html()) == []
