"""The bytes that are signed: canonical forms, hashes and commitments (docs/signing.md)."""

import base64
import hashlib
import secrets

import rfc8785
from pydantic import BaseModel, ValidationError

from diary_mcp.domain.signing import Opening, Proof, Statement

_SALT_BYTES = 16


def canonical(value: BaseModel) -> bytes:
    """The value in the form of RFC 8785, in UTF-8."""
    return rfc8785.dumps(value.model_dump(mode="json"))


def hash_bytes(canonical_form: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(canonical_form).hexdigest()


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
        return Proof.model_validate_json(text)
    except ValidationError:
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
