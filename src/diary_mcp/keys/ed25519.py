"""Ed25519, by `cryptography`: the only importer of it. Imported late, it costs a start too much."""

import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from diary_mcp.domain.chain import PublicKey
from diary_mcp.service.chain.statements import decode_base64url, encode_base64url

_PREFIX = "ed25519:"


class PrivateKey:
    """A private key in memory; it is never shown."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.public_key = PublicKey(_PREFIX + encode_base64url(raw))

    def sign(self, message: bytes) -> str:
        """The signature, as docs/signing.md writes it."""
        return encode_base64url(self._key.sign(message))

    def to_pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def generate_key() -> PrivateKey:
    """A new key."""
    return PrivateKey(Ed25519PrivateKey.generate())


def read_pem(pem: bytes) -> PrivateKey:
    """The key in a PEM file.

    Raises:
        ValueError: it holds none, an encrypted one, or one of another kind.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, ValueError) as error:
        raise ValueError("holds no private key that can be read") from error
    except Exception as error:  # UnsupportedAlgorithm has no common base with the others
        raise ValueError("holds a key of an unknown kind") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("holds a key that is not Ed25519")  # noqa: TRY004  # of the file, not of a caller
    return PrivateKey(key)


def check_signature(public_key: PublicKey, signature: str, message: bytes) -> bool:
    """Whether the signature of the message is valid for the key; malformed is not valid."""
    try:
        raw = decode_base64url(public_key.removeprefix(_PREFIX))
        Ed25519PublicKey.from_public_bytes(raw).verify(decode_base64url(signature), message)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return public_key.startswith(_PREFIX)
