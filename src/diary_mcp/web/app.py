"""The page for people, as an ASGI application: its addresses, and what protects all of them."""

from importlib.resources import files

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diary_mcp.domain.errors import DiaryError
from diary_mcp.web import activity, changes, diaries, reading, writing
from diary_mcp.web.page_requests import (
    Desk,
    Endpoint,
    View,
    Visit,
    for_signed_in,
    read_form,
    show_error,
    show_signed_out,
)
from diary_mcp.web.signing_in import cookie_of, drop_cookie, keep_cookie

# No script but our own runs, nothing is loaded or sent elsewhere, nobody frames it.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that a browser sends forms with `Origin: null`, as a stranger's would.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "idiomorph.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def page_app(desk: Desk) -> ASGIApp:
    """Everything under `desk.base`."""

    async def tell_missing(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return HTMLResponse("There is no such page.", status)

    app = Starlette(
        routes=[Mount(desk.base, routes=_routes(desk))],
        exception_handlers={HTTPException: tell_missing},
    )
    return _Protected(app)


class _Protected:
    """An application whose every answer tells the browser what it must not do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_protected)


def _routes(desk: Desk) -> list[BaseRoute]:
    def page(path: str, view: View) -> Route:
        return Route(path, for_signed_in(desk, view), methods=["GET"])

    def form(path: str, view: View) -> Route:
        return Route(path, for_signed_in(desk, view), methods=["POST"])

    return [
        *_sign_in(desk),
        form("/sign-out", _sign_out),
        *(_static(name, media_type) for name, media_type in _STATIC.items()),
        page("/", reading.timeline),
        page("/search", reading.search),
        page("/shared", reading.shared),
        page("/activity", activity.activity),
        page("/audit", reading.audit),
        page("/changes", changes.changes),
        page("/tags", reading.tags),
        page("/status", reading.status),
        page("/entries/{entry_id}", reading.entry),
        page("/entries/{entry_id}/compare", reading.comparison),
        page("/write", writing.write),
        form("/write", writing.write_entry),
        page("/entries/{entry_id}/edit", writing.edit),
        form("/entries/{entry_id}/edit", writing.save),
        page("/entries/{entry_id}/delete", writing.ask_to_delete),
        form("/entries/{entry_id}/delete", writing.delete),
        form("/entries/{entry_id}/share", writing.share),
        form("/entries/{entry_id}/unshare", writing.unshare),
        form("/entries/{entry_id}/move", diaries.move),
        page("/diaries", diaries.diaries),
        form("/diaries", diaries.make),
        page("/diary", diaries.diary),
        form("/diary/share", diaries.share),
        form("/diary/unshare", diaries.unshare),
        form("/diary/rename", diaries.rename),
        form("/diary/transfer", diaries.transfer),
        form("/diary/remove", diaries.remove),
    ]


def _sign_in(desk: Desk) -> list[Route]:
    """Where the link leads that lets one in, and the form that takes a token."""

    async def follow_link(request: Request) -> Response:
        cookie = cookie_of(request)
        if cookie is not None and await desk.door.identify(cookie) is not None:
            return desk.show("signed_in.html")
        if desk.door.takes_tokens:
            return show_signed_out(desk, 200)
        return await let_in(request, request.query_params.get("link", ""))

    async def take_token(request: Request) -> Response:
        token = (await read_form(request)).get("token", "")
        return await let_in(request, token.strip() if desk.door.takes_tokens else "")

    async def let_in(request: Request, secret: str) -> Response:
        cookie = await desk.door.exchange(secret)
        if cookie is None:
            return show_signed_out(desk, 403, is_refused=True)
        # Not a redirect: what was begun by another program's page would come without the cookie.
        response = desk.show("signed_in.html")
        is_secure = request.headers.get("origin", "").startswith("https:")
        keep_cookie(response, cookie, desk.base, is_secure=is_secure)
        return response

    return [
        Route("/sign-in", _telling(desk, follow_link), methods=["GET"]),
        Route("/sign-in", _telling(desk, take_token), methods=["POST"]),
    ]


async def _sign_out(visit: Visit) -> Response:
    await visit.form()
    if visit.desk.changes is not None:
        visit.desk.changes.end(visit.cookie)
    response = show_signed_out(visit.desk, 200)
    drop_cookie(response, visit.desk.base)
    return response


def _telling(desk: Desk, endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except DiaryError as error:
            return show_error(desk, error)

    return answer


def _static(name: str, media_type: str) -> Route:
    body = files("diary_mcp.web").joinpath("static", name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(body, media_type=media_type)

    return Route(f"/static/{name}", answer, methods=["GET"])
