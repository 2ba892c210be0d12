"""What of the data directory a backup takes along, and gives back."""

from datetime import UTC, datetime
from pathlib import Path

from diary_mcp.files.backup_file import DUMP, copy_keys, opened_backup, put_keys, write_backup


def test_every_key_and_what_is_remembered_of_chains_comes_back(tmp_path: Path) -> None:
    """Also a key that a rotation is about to use, and that of an agent that was removed."""
    names = ("alice.pem", "next/alice.pem", "removed/bob.38d9e57b.pem", "chains/alice.json")
    for name in names:
        path = tmp_path / "old" / "keys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / DUMP).write_bytes(b"")

    copy_keys(tmp_path / "old", packed)
    write_backup(tmp_path / "backup", packed, version="1", made_at=datetime.now(UTC), settings={})
    with opened_backup(tmp_path / "backup") as (_, folder):
        put_keys(folder, tmp_path / "new")

    assert {name: (tmp_path / "new" / "keys" / name).read_text() for name in names} == {
        name: name for name in names
    }
