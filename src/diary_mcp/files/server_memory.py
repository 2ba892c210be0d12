"""The memory of `@modelcontextprotocol/server-memory`: lines of entities and of relations.

Each entity becomes an entry: its observations, and below them its relations, as links.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.other_programs import machine_entry
from diary_mcp.service.archive.importer import ImportedEntry
from diary_mcp.service.chain.statements import JsonObject, parse_json

_ENTITY_FIELDS = frozenset({"type", "name", "observations"})


@dataclass
class _Entity:
    kind: str | None = None
    observations: list[str] = field(default_factory=list[str])
    relations: list[str] = field(default_factory=list[str])
    kept: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class BadLine:
    """A line that is neither entity nor relation."""

    number: int
    reason: str


def is_graph_line(text: bytes) -> bool:
    """Whether a line is an entity or a relation."""
    try:
        value = parse_json(text.decode())
    except ValueError:
        return False
    return isinstance(value, JsonObject) and (_is_entity(value) or _is_relation(value))


def read_graph(
    lines: Iterable[bytes], *, name: str, modified_at: datetime
) -> Generator[ImportedEntry | BadLine]:
    """An entry for each entity, with the key `NAME/ENTITY`; and what cannot be read."""
    entities: dict[str, _Entity] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not _add(line, entities):
            reason = "is neither an entity nor a relation, as server-memory writes them."
            yield BadLine(number, reason)
    for called, entity in entities.items():
        try:
            yield _read(called, entity, name, modified_at)
        except InvalidArgumentError as error:
            yield BadLine(0, f"{called[:100]!r}: {error}")


def _add(line: bytes, entities: dict[str, _Entity]) -> bool:
    try:
        value = parse_json(line.decode())
    except ValueError:
        return False
    if not isinstance(value, JsonObject):
        return False
    if _is_entity(value):
        entity = entities.setdefault(str(value["name"]), _Entity())
        observations = value["observations"]
        if isinstance(observations, list):
            said = map(str, cast("list[object]", observations))
            entity.observations += dict.fromkeys(said)
        kind = value.get("entityType")
        entity.kind = kind if isinstance(kind, str) else None
        entity.kept |= {key: each for key, each in value.items() if key not in _ENTITY_FIELDS}
        return True
    if _is_relation(value):
        entity = entities.setdefault(str(value["from"]), _Entity())
        entity.relations.append(f"- {value.get('relationType', 'relates_to')} [[{value['to']}]]")
        return True
    return False


def _is_entity(value: JsonObject) -> bool:
    is_named = isinstance(value.get("name"), str) and value["name"] != ""
    return (
        value.get("type") == "entity" and is_named and isinstance(value.get("observations"), list)
    )


def _is_relation(value: JsonObject) -> bool:
    ends = (value.get("from"), value.get("to"))
    return value.get("type") == "relation" and all(isinstance(end, str) and end for end in ends)


def _read(called: str, entity: _Entity, name: str, modified_at: datetime) -> ImportedEntry:
    observations = "".join(f"- {_on_one_item(each)}\n" for each in entity.observations)
    relations = "".join(f"{each}\n" for each in dict.fromkeys(entity.relations))
    parts = [f"# {' '.join(called.split())}\n", observations, relations]
    return machine_entry(
        key=f"{name}/{called}",
        title=called,
        content="\n".join(filter(None, parts)),
        tags=[entity.kind] if entity.kind else [],
        date=modified_at,
        kept=entity.kept,
    )


def _on_one_item(observation: str) -> str:
    """Further lines belong to the same item."""
    return "\n  ".join(observation.strip().splitlines()) or "-"
