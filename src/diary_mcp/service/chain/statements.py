"""The bytes that are signed: canonical forms, hashes and commitments (docs/signing.md)."""

import base64
import hashlib
import json
import math
import secrets
from typing import TypeVar

import rfc8785
from pydantic import BaseModel, ValidationError

from diary_mcp.domain.chain import Opening, Proof, Statement

_SALT_BYTES = 16
_Model = TypeVar("_Model", bound=BaseModel)


def canonical(value: BaseModel) -> bytes:
    """The value in the form of RFC 8785, in UTF-8."""
    return rfc8785.dumps(value.model_dump(mode="json"))


def hash_bytes(canonical_form: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(canonical_form).hexdigest()


class JsonObject(dict[str, object]):
    """A JSON object, told apart from what else a parser makes."""


def parse_json(text: str | bytes) -> object:
    """The value, where every reader of JSON would find the same.

    Raises:
        ValueError: it is no JSON, a name is there twice, or a number is not finite.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_refuse_repeated_names,
            parse_constant=_refuse_constant,
            parse_float=_refuse_infinity,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_strictly(model: type[_Model], text: str | bytes) -> _Model:
    """The model that JSON text says, by its exact types.

    Raises:
        ValueError: as `parse_json`, or it says something else.
    """
    parse_json(text)
    return model.model_validate_json(text, strict=True)


def model_of(model: type[_Model], value: object) -> _Model | None:
    """The model that a value of `parse_json` says; `None` where it says something else."""
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return None


def read_statement(text: str) -> Statement:
    """The statement that `text` is.

    Raises:
        ValueError: it is none, or not in its canonical form.
    """
    try:
        statement = Statement.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("is not a statement as docs/signing.md defines it") from error
    if canonical(statement) != text.encode():
        raise ValueError("is not in canonical form")
    return statement


def read_proof(text: str | None) -> Proof | None:
    """The proof that `text` holds as JSON; `None` where it is something else."""
    if text is None:
        return None
    try:
        return read_strictly(Proof, text)
    except ValueError:
        return None


def commit(content_hash: str, opening: Opening) -> str:
    """What a link says of an entry's version, and does not give away."""
    form = {**opening.model_dump(mode="json"), "content_hash": content_hash}
    return hash_bytes(rfc8785.dumps(form))


def new_salt() -> str:
    """What keeps a deleted entry from being guessed."""
    return encode_base64url(secrets.token_bytes(_SALT_BYTES))


def encode_base64url(raw: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Raises ValueError: it is no base64url without padding, or not the shortest form."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if encode_base64url(raw) != text:
        raise ValueError("is not base64url without padding")
    return raw


def _refuse_repeated_names(pairs: list[tuple[str, object]]) -> JsonObject:
    values = JsonObject(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is there twice in one object")
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_infinity(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is more than a JSON number can be")
    return value
