"""The files that ship beside the code."""

import pytest

from diary_mcp.package_data import ResourceKind, resource_path


@pytest.mark.parametrize(
    ("kind", "name"),
    [("migrations", "0001_diary.sql"), ("prompts", "handoff.md"), ("opl", "diary.opl.ts")],
)
def test_every_kind_of_resource_is_found(kind: ResourceKind, name: str) -> None:
    assert (resource_path(kind) / name).is_file()
