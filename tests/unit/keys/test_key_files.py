"""The key file of an agent: made once, kept to its owner, and never guessed at."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from diary_mcp.domain.errors import SigningKeyError
from diary_mcp.domain.fields import AgentName
from diary_mcp.keys.ed25519 import check_signature, generate_key
from diary_mcp.keys.key_files import AgentKeys, KeyFile

ALICE = AgentName("alice")


def public_key(data_dir: Path) -> str:
    """What a process that starts now signs with."""
    return AgentKeys(data_dir, ALICE).present.load_or_create().public_key


def test_a_key_is_made_on_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    keys = AgentKeys(tmp_path / "data", ALICE)
    key = keys.present.load_or_create()

    assert keys.present.path == tmp_path / "data" / "keys" / "alice.pem"
    assert stat.S_IMODE(keys.present.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.present.path.parent.stat().st_mode) == 0o700
    assert [each.name for each in keys.present.path.parent.iterdir()] == ["alice.pem"]
    assert public_key(tmp_path / "data") == key.public_key
    assert check_signature(key.public_key, key.sign(b"text"), b"text")


def test_of_many_threads_that_are_first_one_key_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = set(threads.map(public_key, [tmp_path] * 32))

    assert len(made) == 1
    assert [each.name for each in (tmp_path / "keys").iterdir()] == ["alice.pem"]


def test_each_agent_has_a_key_of_its_own(tmp_path: Path) -> None:
    names = [AgentName(name) for name in ("a", "a.next", "next", "heads")]

    made = {AgentKeys(tmp_path, name).present.load_or_create().public_key for name in names}
    following = {AgentKeys(tmp_path, name).next.load_or_create().public_key for name in names}

    assert len(made | following) == 8


def ec_key() -> bytes:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encrypted_key() -> bytes:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", generate_key().to_pem()[:60], ec_key(), encrypted_key()],
    ids=["empty", "text", "cut", "another kind", "encrypted"],
)
def test_a_file_that_holds_no_usable_key_is_named_and_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alice.pem"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(SigningKeyError) as raised:
        KeyFile(path).load_or_create()

    assert str(path) in str(raised.value)
    assert "takeover" in str(raised.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    keys = AgentKeys(tmp_path, ALICE)
    keys.present.create()
    keys.present.path.chmod(mode)

    with pytest.raises(SigningKeyError, match=f"chmod 600 {keys.present.path}"):
        keys.load()


def test_a_path_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "alice.pem"
    directory.mkdir(mode=0o700)
    (tmp_path / "file").write_text("")

    with pytest.raises(SigningKeyError, match="cannot be read"):
        KeyFile(directory).load()
    with pytest.raises(SigningKeyError, match=r"cannot be (read|made)"):
        KeyFile(tmp_path / "file" / "alice.pem").load_or_create()


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    keys = AgentKeys(tmp_path, ALICE)
    (before,) = keys.load()
    following = keys.next.load_or_create()

    assert [key.public_key for key in keys.load()] == [before.public_key, following.public_key]
    keys.rotate()

    assert [key.public_key for key in keys.load()] == [following.public_key]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_that_another_user_has_put_there_signs_nothing(tmp_path: Path) -> None:
    key = KeyFile(tmp_path / "keys" / "alice.pem")
    key.create()
    os.chown(key.path, 65534, 65534)

    with pytest.raises(SigningKeyError, match=r"another user \(uid 65534\)"):
        key.load()
