"""What a tool is: how a client sees it, and what it runs for a caller."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from mcp_types import Tool, ToolAnnotations
from pydantic import BaseModel

from diary_mcp.domain.entry import EntryFields
from diary_mcp.domain.fields import AgentName
from diary_mcp.domain.tokens import TokenScope
from diary_mcp.server.caller import Caller
from diary_mcp.server.confinement import require_reach
from diary_mcp.server.tools.arguments import Arguments
from diary_mcp.server.tools.schemas import input_schema, output_schema
from diary_mcp.server.view.view import VIEW_URI
from diary_mcp.service.diary import Diary
from diary_mcp.service.signing.verification import Progress

Effect = Literal["reads", "adds", "changes", "destroys"]
ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)


@dataclass(frozen=True)
class Call(Generic[ArgumentsT]):
    """One call of a tool, its arguments checked."""

    diary: Diary
    caller: Caller
    arguments: ArgumentsT
    report_progress: Progress

    @property
    def agent(self) -> AgentName:
        return self.caller.agent

    @property
    def session(self) -> str | None:
        return self.caller.session

    @property
    def current(self) -> str | None:
        """The diary of what names none."""
        return self.caller.diary

    def name_of(self, entry: EntryFields) -> str | None:
        """The diary of an entry as the caller names it, unless that goes without saying."""
        return self.caller.name_of(entry)


class AnyTool(Protocol):
    """A tool, whatever its arguments are."""

    @property
    def scope(self) -> TokenScope: ...

    @property
    def nullable(self) -> frozenset[str]: ...

    @property
    def required(self) -> frozenset[str]: ...

    @property
    def argument_names(self) -> list[str]: ...

    async def call(
        self,
        diary: Diary,
        caller: Caller,
        arguments: dict[str, object],
        report_progress: Progress,
    ) -> BaseModel: ...

    def described(self, *, with_view: bool = False) -> Tool: ...


Tools = Mapping[str, AnyTool]
"""Tools by name, as they are listed."""


@dataclass(frozen=True)
class DiaryTool(Generic[ArgumentsT]):
    """One tool."""

    name: str
    title: str
    description: str
    effect: Effect
    scope: TokenScope
    """What a token must have for a call of it."""

    arguments: type[ArgumentsT]
    result: type[BaseModel]
    run: Callable[[Call[ArgumentsT]], Awaitable[BaseModel]]
    nullable: frozenset[str] = frozenset()
    """Arguments for which `null` says something else than leaving them out."""

    has_view: bool = False
    """Whether a host that has MCP Apps can show its result to people."""

    @property
    def required(self) -> frozenset[str]:
        fields = self.arguments.model_fields.items()
        return frozenset(field.alias or name for name, field in fields if field.is_required())

    @property
    def argument_names(self) -> list[str]:
        fields = self.arguments.model_fields.items()
        return [field.alias or name for name, field in fields]

    async def call(
        self,
        diary: Diary,
        caller: Caller,
        arguments: dict[str, object],
        report_progress: Progress,
    ) -> BaseModel:
        """Checks the arguments and runs the tool.

        Raises:
            pydantic.ValidationError: the arguments do not fit the schema.
            DiaryError: as the use case tells.
        """
        checked = self.arguments.model_validate(arguments)
        if caller.only is not None:
            await require_reach(diary, caller, checked)
        return await self.run(Call(diary, caller, checked, report_progress))

    def described(self, *, with_view: bool = False) -> Tool:
        """The tool as `tools/list` shows it; `with_view` to a host that may have MCP Apps."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=dict(input_schema(self.arguments)),
            output_schema=dict(output_schema(self.result)),
            annotations=self._annotations(),
            _meta={"ui": {"resourceUri": VIEW_URI}} if self.has_view and with_view else None,
        )

    def _annotations(self) -> ToolAnnotations:
        # Whether a tool destroys or repeats means nothing to a client where it only reads.
        if self.effect == "reads":
            return ToolAnnotations(read_only_hint=True, open_world_hint=False)
        return ToolAnnotations(
            read_only_hint=False,
            destructive_hint=self.effect == "destroys",
            # False is what a client takes for granted.
            idempotent_hint=True if self.effect == "destroys" else None,
            open_world_hint=False,
        )
