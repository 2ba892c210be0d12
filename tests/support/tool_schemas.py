"""The schemas that are kept, as the models say them; run as a script, it keeps what they say now.

They are as small as they can be while they say everything that a client needs.

A model pays for every character of `tools/list`. What pydantic adds for people is left out:
titles, the docstrings of models, definitions kept apart, and `null` beside an optional argument.
An object is spelled out once, by the tool that is about it; the others say in words what it is.
No property is listed as required: what is null, empty or at its default is left out.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, JsonValue

from diary_mcp.domain.entry import SimilarEntry
from diary_mcp.domain.reflection import Reflection
from diary_mcp.domain.verification import VerificationReport
from diary_mcp.server.tools.catalogue import HTTP_TOOLS
from diary_mcp.server.tools.results import (
    DiariesResult,
    EntryResult,
    FoundEntry,
    ListedEntry,
    RevokedResult,
    ShareResult,
    SignatureRequestResult,
    SignedResult,
    TagsResult,
    WhoamiResult,
)
from diary_mcp.server.tools.schemas import Schema, ToolSchemas, as_object
from support.paths import ROOT

KEPT = ROOT / "src" / "diary_mcp" / "server" / "tools" / "schemas.json"

_IN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        ListedEntry.__name__: (
            "As diary_get with snippet for content; version 1, signature signed left out."
        ),
        FoundEntry.__name__: "As in diary_list; score; matched: why.",
        ShareResult.__name__: (
            "entry_id, untrusted, diary, with, role, created_at, expires_at, note, sharing"
        ),
        RevokedResult.__name__: "entry_id, diary, with, revoked",
        DiariesResult.__name__: "diaries, diary, role, entries, latest, current",
        TagsResult.__name__: "tags, tag, count, notice",
        SimilarEntry.__name__: "id, title, similarity",
        VerificationReport.__name__: (
            "entries, totals, chain, notice, entry_id, content_hash, hash_matches, "
            "signature_valid, signer, signed_at, link, problem"
        ),
        SignatureRequestResult.__name__: "request_id, statement, salt, expires_at, command",
        SignedResult.__name__: "entry_id, sequence, link",
        WhoamiResult.__name__: "agent, groups, counts, version, backends, signing",
        Reflection.__name__: (
            "entries, by_type, by_tag, most_important, open_problems, solved, corrections, "
            "last_handoff, shared_with_you, notice"
        ),
    }
)
_LEFT_OUT: Mapping[type[BaseModel], str] = MappingProxyType(
    {
        EntryResult: (
            "Left out: none or empty; diary: the current, or main; owner: you; role: owner; "
            "author: the owner; importance: 0.5; sharing: settled; created_at: as date; "
            "updated_at: as created_at."
        )
    }
)


def derive_schemas() -> dict[str, ToolSchemas]:
    """Of every tool."""
    return {
        name: {"input": _input_schema(tool.arguments), "output": _output_schema(tool.result)}
        for name, tool in HTTP_TOOLS.items()
    }


def _input_schema(arguments: type[BaseModel]) -> Schema:
    """What a client may send. `null` counts as left out and is not listed."""
    schema = arguments.model_json_schema(mode="validation", by_alias=True)
    required = schema.get("required", [])
    shrunk: Schema = {
        "type": "object",
        "properties": {
            name: _input_property(as_object(value), is_required=name in required)
            for name, value in as_object(schema["properties"]).items()
        },
        "additionalProperties": False,
    }
    return {**shrunk, "required": required} if required else shrunk


def _output_schema(result: type[BaseModel]) -> Schema:
    """The shape of a tool's structured content, and what the absence of a field means."""
    if result.__name__ in _IN_WORDS:
        return {"type": "object", "description": _IN_WORDS[result.__name__]}
    schema = result.model_json_schema(mode="serialization", by_alias=True)
    shown = _Output(as_object(schema.get("$defs", {}))).object(schema)
    return {**shown, "description": _LEFT_OUT[result]} if result in _LEFT_OUT else shown


def _input_property(schema: Schema, *, is_required: bool) -> Schema:
    # An empty string counts as left out where that may be.
    unsaid = {"title", "anyOf"} if is_required else {"title", "anyOf", "minLength"}
    return {
        key: value
        for key, value in {**_choice(schema), **schema}.items()
        if key not in unsaid and not (key == "default" and value in (None, ""))
    }


@dataclass(frozen=True)
class _Output:
    definitions: Schema

    def object(self, schema: Schema) -> Schema:
        properties = as_object(schema["properties"])
        return {
            "type": "object",
            "properties": {
                name: self._property(as_object(value)) for name, value in properties.items()
            },
        }

    def _property(self, schema: Schema) -> Schema:
        # What is null is left out of a result.
        schema = _choice(schema) or schema
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in _IN_WORDS:
            return {"type": "object", "description": _IN_WORDS[name]}
        if name:
            return self.object(as_object(self.definitions[name]))
        if "items" in schema:
            return {"type": "array", "items": self._property(as_object(schema["items"]))}
        return {"type": _kind(schema)}


def _kind(schema: Schema) -> JsonValue:
    # A constant has no type in pydantic's schema; the only ones here are `true`.
    return schema.get("type", "object" if "$ref" in schema else "boolean")


def _choice(schema: Schema) -> Schema:
    """The one schema beside `null` of an `anyOf`; empty where there is no `anyOf`."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return {}
    (choice,) = (each for each in map(as_object, choices) if each != {"type": "null"})
    return choice


if __name__ == "__main__":
    kept = json.dumps(derive_schemas(), indent=2, ensure_ascii=False)
    KEPT.write_text(f"{kept}\n", "utf-8")
    sys.stderr.write(f"Wrote {KEPT}; review the difference.\n")
