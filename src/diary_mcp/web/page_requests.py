"""One request for a page: who asks, what the diary answers them, and what they are shown."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import jinja2
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from diary_mcp.domain.diaries import DiaryName
from diary_mcp.domain.entry import EntryFields
from diary_mcp.domain.errors import (
    DiaryError,
    ErrorCode,
    ForbiddenError,
    InvalidArgumentError,
    UnavailableError,
)
from diary_mcp.domain.scopes import TokenScope
from diary_mcp.server.caller import Caller
from diary_mcp.server.dispatch import Dispatcher
from diary_mcp.server.errors import tell
from diary_mcp.service.diary import Diary
from diary_mcp.web.markdown import show_opening
from diary_mcp.web.names import plain_name, show_clock, show_name, show_time
from diary_mcp.web.signing_in import Door, cookie_of, csrf_token, is_csrf_token
from diary_mcp.web.wording import for_page

if TYPE_CHECKING:
    from diary_mcp.web.changes import Changes

Answer = TypeVar("Answer")
Refusal = (DiaryError, ValidationError)
"""What is told beside the form that it is about."""

_MAX_BODY_BYTES = 2 << 20
_FORM_ARRIVES_S = 30
_MAX_FIELDS = 50
_STATUS: Mapping[ErrorCode, int] = MappingProxyType(
    {
        "invalid_argument": 400,
        "forbidden": 403,
        "not_found": 404,
        "conflict": 409,
        "internal": 500,
        "unavailable": 503,
    }
)

_DONE = MappingProxyType(
    {
        "written": "Written.",
        "saved": "Saved as a new version.",
        "deleted": "Deleted for good.",
        "shared": "Shared. The other agent can read it in a moment.",
        "unshared": "Not shared any more, from now on.",
        "made": "The diary is there.",
        "moved": "Moved. Who may read the diary can read it in a moment.",
        "given": "Given. The role holds in a moment.",
        "taken": "Taken back, from now on.",
        "renamed": "Renamed.",
        "transferred": "Given away.",
        "removed": "Removed.",
    }
)


_LISTS = frozenset({"/", "/shared", "/diaries", "/diary", "/activity", "/tags", "/audit"})
"""Pages of what the agent may read, taken together."""


@dataclass(frozen=True)
class Health:
    """Whether all is well, with what to do where it is not."""

    facts: Mapping[str, object]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desk:
    """What every page is made with."""

    dispatcher: Dispatcher
    door: Door
    base: str = ""
    """What every path begins with."""
    look: Callable[[bool], Awaitable[Health]] | None = None
    """How the diary is, for those who operate it; and, where that is asked, whether rows agree."""
    changes: "Changes | None" = None
    """Tells open pages of what changed elsewhere."""
    sign_in_connection: Callable[[Scope, str], bool] = lambda _scope, _agent: True
    """Whose the connection of a request is; `False` where the agent has too many already."""

    def show(self, template: str, status: int = 200, /, **shown: object) -> HTMLResponse:
        """A page."""
        html = _TEMPLATES.get_template(template).render(base=self.base, **shown)
        return HTMLResponse(html, status)


@dataclass(frozen=True)
class Visit:
    """A request of somebody who has signed in."""

    desk: Desk
    request: Request
    caller: Caller
    cookie: str = field(repr=False)

    async def ask(
        self, scope: TokenScope, what: str, use_case: Callable[[Diary], Awaitable[Answer]]
    ) -> Answer:
        """What the diary answers; raises as the use case does."""
        return await self.desk.dispatcher.admit(self.caller, scope, what, use_case)

    async def read(self, use_case: Callable[[Diary], Awaitable[Answer]]) -> Answer:
        """What the diary answers to somebody who only looks."""
        return await self.ask("diary:read", "Reading this page", use_case)

    @property
    def keep(self) -> dict[str, str]:
        """The diary that the address names, which links to other pages name too."""
        return self.query("diary")

    @property
    def place(self) -> str | None:
        """The diary that is looked into; `None`: whatever is the agent's own."""
        return self.keep.get("diary", self.caller.diary)

    def diary_of(self, entry: EntryFields) -> str | None:
        """The diary of an entry, unless that goes without saying here."""
        if entry.diary is None:
            return None
        name = DiaryName(entry.diary.owner, entry.diary.name).seen_by(self.caller.agent)
        return None if name == self.place else name

    def query(self, *names: str) -> dict[str, str]:
        """Those of the address's parameters that say something."""
        given = self.request.query_params
        return {name: given[name] for name in names if given.get(name, "").strip()}

    def link(self, path: str, **parameters: str | int | None) -> str:
        """An address within the page."""
        query = urlencode({k: v for k, v in parameters.items() if v is not None})
        return f"{self.desk.base}{path}{'?' * bool(query)}{query}"

    def show(self, template: str, status: int = 200, /, **shown: object) -> HTMLResponse:
        """A page for whoever is signed in."""
        return self.desk.show(
            template,
            status,
            agent=self.caller.agent,
            csrf=csrf_token(self.cookie),
            here=self._here(),
            lists=_LISTS,
            is_typed=self.request.method == "POST",
            can_sign_out=self.desk.door.takes_tokens,
            link=self.link,
            keep=self.keep,
            place=self.place,
            diary_of=self.diary_of,
            done=_DONE.get(self.request.query_params.get("done", "")),
            **shown,
        )

    def go(self, path: str, **parameters: str | int | None) -> Response:
        """Sends the browser on after something was done, so that reloading does not repeat it."""
        return RedirectResponse(self.link(path, **parameters), 303)

    async def form(self) -> dict[str, str]:
        """The fields of the form that was sent, once it is sure that a page of ours sent it.

        Raises:
            ForbiddenError: another site's page may have sent it.
            InvalidArgumentError: it is too long, or not a form.
        """
        fields = await read_form(self.request)
        if not is_csrf_token(fields.pop("csrf", ""), self.cookie):
            raise _from_elsewhere()
        return fields

    def _here(self) -> str:
        return self.request.url.path.removeprefix(self.desk.base)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that came from this very origin.

    Raises:
        ForbiddenError: it came from another.
        InvalidArgumentError: it is too long, or not a form.
        UnavailableError: it does not come whole.
    """
    # Browsers always send it with a form. What is allowed at the door has any port.
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise _from_elsewhere()
    try:
        with anyio.fail_after(_FORM_ARRIVES_S):
            return _fields(await _read_body(request))
    except TimeoutError as error:
        raise UnavailableError(
            f"The form did not arrive within {_FORM_ARRIVES_S} s. Send it again."
        ) from error


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise InvalidArgumentError(
                f"A form has at most {_MAX_BODY_BYTES >> 20} MiB. Make it shorter."
            )
    return bytes(body)


View = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def for_signed_in(desk: Desk, view: View) -> Endpoint:
    """The view for those who are signed in; others are told how to."""

    async def answer(request: Request) -> Response:
        cookie = cookie_of(request)
        caller = None
        try:
            caller = None if cookie is None else await desk.door.identify(cookie)
            if caller is None or cookie is None:
                return show_signed_out(desk, 401)
            _sign_in_connection(desk, request, caller)
            _refuse_nul(request)
            return await view(Visit(desk, request, caller, cookie))
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: every failure becomes a page
            return show_error(desk, error, None if caller is None else caller.agent)

    return answer


def _sign_in_connection(desk: Desk, request: Request, caller: Caller) -> None:
    """Raises: UnavailableError: the agent has too many."""
    if not desk.sign_in_connection(request.scope, caller.agent):
        raise UnavailableError("Too many requests of yours are under way. Try again.")


def _refuse_nul(request: Request) -> None:
    """Raises: InvalidArgumentError: the address names what PostgreSQL cannot even be asked for."""
    named = (request.scope["path"], *request.query_params.values())
    if any("\0" in text for text in named):
        raise InvalidArgumentError("This address holds a NUL character. Follow a link instead.")


def show_signed_out(desk: Desk, status: int, *, is_refused: bool = False) -> HTMLResponse:
    """A page that says how one signs in."""
    takes_tokens = desk.door.takes_tokens
    return desk.show("signed_out.html", status, is_refused=is_refused, takes_tokens=takes_tokens)


def show_error(desk: Desk, error: Exception, agent: str | None = None) -> HTMLResponse:
    """A page that tells what went wrong, and what to do."""
    code, told = tell(error, "This page")
    return desk.show("error.html", _STATUS[code], code=code, told=told, agent=agent)


def told(error: DiaryError | ValidationError) -> tuple[int, str]:
    """The status, and the words, of an error that is shown beside the form it is about."""
    code, text = tell(error, "This form")
    return _STATUS[code], text


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(
            parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        )
    except ValueError as error:
        raise InvalidArgumentError(
            "This is not a form that the page sends. Go back, reload it and try again."
        ) from error


def _from_elsewhere() -> ForbiddenError:
    return ForbiddenError(
        "This form did not come from this page, or from an older sign-in. Go back, reload the "
        "page and try again; nothing was changed."
    )


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("diary_mcp.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters.update(
    clock=show_clock,
    name=show_name,
    opening=show_opening,
    plain=plain_name,
    time=show_time,
    told=for_page,
)
