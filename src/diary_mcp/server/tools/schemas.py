"""JSON Schemas as small as they can be while they say everything that a client needs.

A model pays for every character of `tools/list`. What pydantic adds for people is left out:
titles, the docstrings of models, definitions kept apart, and `null` beside an optional argument.
An object is spelled out once, by the tool that is about it; the others say in words what it is.
None of its properties is listed as required: a result has them all, but for `similar`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, JsonValue

from diary_mcp.domain.entry import Entry, EntrySummary, SearchHit, Signature, SimilarEntry
from diary_mcp.domain.reflection import Correction, Mention
from diary_mcp.domain.share import Share
from diary_mcp.domain.verification import ChainReport, Verification, VerificationTotals
from diary_mcp.server.tools.results import (
    Backends,
    Counts,
    SignatureRequestResult,
    SignedResult,
    Signing,
    TagResult,
)

Schema = dict[str, JsonValue]

_IN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        Entry.__name__: "The entry, with the other fields of diary_get.",
        EntrySummary.__name__: "As diary_get; snippet in place of content.",
        SearchHit.__name__: "As diary_get; snippet in place of content; score; matched: why.",
        Share.__name__: "As diary_share.",
        SimilarEntry.__name__: "id, title, similarity",
        Signature.__name__: "state: pending, signed or none.",
        Mention.__name__: "id, type, date, importance, title",
        Correction.__name__: "Likewise; corrects: what it supersedes.",
        ChainReport.__name__: "sequence, hash, broken",
        VerificationTotals.__name__: "checked, hash_mismatches, signed, invalid_signatures",
        Verification.__name__: "entry_id, hash_matches, signature_valid, signer, problem",
        TagResult.__name__: "tag, count",
        SignatureRequestResult.__name__: "request_id, statement, salt, expires_at, command",
        SignedResult.__name__: "entry_id, sequence, link",
        Counts.__name__: "entries, shared",
        Backends.__name__: "database, permissions",
        Signing.__name__: "sequence, head, keys, key",
    }
)
_IDENTITY = ("id", "version")


def input_schema(arguments: type[BaseModel]) -> Schema:
    """What a client may send. `null` counts as left out and is not listed."""
    schema = arguments.model_json_schema(mode="validation", by_alias=True)
    shrunk: Schema = {
        "type": "object",
        "properties": {
            name: _input_property(_as_object(value))
            for name, value in _as_object(schema["properties"]).items()
        },
        "additionalProperties": False,
    }
    return {**shrunk, "required": schema["required"]} if "required" in schema else shrunk


def output_schema(result: type[BaseModel], *, whole_entry: bool = False) -> Schema:
    """The shape of a tool's structured content; `whole_entry` spells an entry out."""
    schema = result.model_json_schema(mode="serialization", by_alias=True)
    output = _Output(_as_object(schema.get("$defs", {})))
    if issubclass(result, Entry) and not whole_entry:
        own = (name for name in result.model_fields if name not in Entry.model_fields)
        shown = output.object(schema, only=(*_IDENTITY, *own))
        return {**shown, "description": _IN_WORDS[Entry.__name__]}
    if result.__name__ in _IN_WORDS and result not in {Entry, Share}:
        return {"type": "object", "description": _IN_WORDS[result.__name__]}
    return output.object(schema)


def _input_property(schema: Schema) -> Schema:
    return {
        key: value
        for key, value in {**_choice(schema), **schema}.items()
        if key not in {"title", "anyOf"} and (key, value) != ("default", None)
    }


@dataclass(frozen=True)
class _Output:
    definitions: Schema

    def object(self, schema: Schema, only: tuple[str, ...] | None = None) -> Schema:
        properties = _as_object(schema["properties"])
        names = only or tuple(properties)
        return {
            "type": "object",
            "properties": {name: self._property(_as_object(properties[name])) for name in names},
        }

    def _property(self, schema: Schema) -> Schema:
        if "anyOf" in schema:
            name = str(_choice(schema).get("$ref", "")).removeprefix("#/$defs/")
            if name in _IN_WORDS:
                return {"type": ["object", "null"], "description": _IN_WORDS[name]}
            return {"type": [_kind(_choice(schema)), "null"]}
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in _IN_WORDS:
            return {"type": "object", "description": _IN_WORDS[name]}
        if name:
            return self.object(_as_object(self.definitions[name]))
        if "items" in schema:
            return {"type": "array", "items": self._property(_as_object(schema["items"]))}
        return {"type": _kind(schema)}


def _kind(schema: Schema) -> JsonValue:
    # A constant has no type in pydantic's schema; the only ones here are `true`.
    return schema.get("type", "object" if "$ref" in schema else "boolean")


def _choice(schema: Schema) -> Schema:
    """The one schema beside `null` of an `anyOf`; empty where there is no `anyOf`."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return {}
    (choice,) = (each for each in map(_as_object, choices) if each != {"type": "null"})
    return choice


def _as_object(value: JsonValue) -> Schema:
    if not isinstance(value, dict):
        raise TypeError(f"not a JSON object: {value!r}")
    return value
