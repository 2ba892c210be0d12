"""JSON Schemas as small as they can be while they say everything that a client needs.

A model pays for every character of `tools/list`. What pydantic adds for people is left out:
titles, the docstrings of models, definitions kept apart, and `null` beside an optional argument.
An entry is spelled out once, by `diary_get`; the other tools show only what they are called for.
"""

from dataclasses import dataclass

from pydantic import BaseModel, JsonValue

Schema = dict[str, JsonValue]

_BRIEF_ENTRY = ("id", "title", "snippet", "score", "matched", "version", "sharing")
_REST_OF_ENTRY = "And the other fields of diary_get."


def input_schema(arguments: type[BaseModel]) -> Schema:
    """What a client may send. `null` counts as left out and is not listed."""
    schema = arguments.model_json_schema(mode="validation", by_alias=True)
    return {**_Input().object(schema), "additionalProperties": False}


def output_schema(result: type[BaseModel], *, whole_entry: bool = False) -> Schema:
    """The shape of a tool's structured content; `whole_entry` spells an entry out."""
    schema = result.model_json_schema(mode="serialization", by_alias=True)
    return _Output(_as_object(schema.get("$defs", {})), whole_entry=whole_entry).object(schema)


class _Input:
    def object(self, schema: Schema) -> Schema:
        shrunk: Schema = {
            "type": "object",
            "properties": {
                name: self._property(_as_object(value))
                for name, value in _as_object(schema["properties"]).items()
            },
        }
        return {**shrunk, "required": schema["required"]} if "required" in schema else shrunk

    def _property(self, schema: Schema) -> Schema:
        return {
            key: value
            for key, value in {**_choice(schema), **schema}.items()
            if key not in {"title", "anyOf"} and (key, value) != ("default", None)
        }


@dataclass(frozen=True)
class _Output:
    definitions: Schema
    whole_entry: bool

    def object(self, schema: Schema) -> Schema:
        properties = _as_object(schema["properties"])
        is_entry = "content_hash" in properties
        if is_entry and not self.whole_entry:
            properties = {name: properties[name] for name in _BRIEF_ENTRY if name in properties}
        shrunk: Schema = {
            "type": "object",
            "properties": {
                name: self._property(_as_object(value)) for name, value in properties.items()
            },
            "required": list(properties),
        }
        if is_entry and not self.whole_entry:
            return {**shrunk, "description": _REST_OF_ENTRY}
        return shrunk

    def _property(self, schema: Schema) -> Schema:
        resolved = self._resolved(schema)
        if "properties" in resolved:
            return self.object(resolved)
        if "anyOf" in resolved:
            return {"type": [_choice(resolved)["type"], "null"]}
        if "items" in resolved:
            return {"type": "array", "items": self._property(_as_object(resolved["items"]))}
        return {"type": resolved.get("type", "boolean")}

    def _resolved(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        return _as_object(self.definitions[reference.removeprefix("#/$defs/")])


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
