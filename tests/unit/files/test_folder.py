"""The folder that an export writes into."""

from pathlib import Path

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.files.folder import ExportFolder


def _bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    folder = ExportFolder(tmp_path / "out")
    folder.write("a.md", b"old")

    with folder.replacing("a.md") as file:
        file.write(b"new")
        file.flush()
        meanwhile = _bytes(folder.path)

    assert meanwhile.pop("a.md") == b"old"
    ((draft, content),) = meanwhile.items()
    assert draft.startswith(".")
    assert content == b"new"
    assert _bytes(folder.path) == {"a.md": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    folder = ExportFolder(tmp_path)
    folder.write("a.md", b"old")

    with pytest.raises(InvalidArgumentError, match=r"a\.md cannot be written \(No space left"):
        _fail_half_way(folder)

    assert _bytes(tmp_path) == {"a.md": b"old"}


def _fail_half_way(folder: ExportFolder) -> None:
    with folder.replacing("a.md") as file:
        file.write(b"ne")
        raise OSError(28, "No space left on device")


def test_a_link_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_bytes(b"safe")
    folder = ExportFolder(tmp_path / "out")
    (folder.path / "a.md").symlink_to(outside)

    folder.write("a.md", b"new")

    assert outside.read_bytes() == b"safe"
    assert _bytes(folder.path) == {"a.md": b"new"}
    assert not (folder.path / "a.md").is_symlink()


def test_a_folder_cannot_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()

    with pytest.raises(InvalidArgumentError, match="cannot be written"):
        ExportFolder(tmp_path / "out")


def test_an_export_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = ExportFolder(tmp_path / "new" / "export")

    folder.write("a.md", b"x")

    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "a.md").stat().st_mode & 0o777 == 0o600
