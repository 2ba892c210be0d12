"""Which names and tuples leave this program; the contract puts the same to both backends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.relations import RelationTuple
from diary_mcp.permissions.tuple_shapes import is_usable_name, require_deletable, require_insertable


@pytest.mark.parametrize("name", ["a", "\u00e9" * 256, "x" * 512, " ", "\U0001f98a"])
def test_a_name_that_both_backends_keep_is_usable(name: str) -> None:
    assert is_usable_name(name)


@pytest.mark.parametrize("name", ["", "\0", "a\0", "\ud800", "\u00e9" * 257, "x" * 513])
def test_a_name_that_a_backend_would_change_is_not_usable(name: str) -> None:
    assert not is_usable_name(name)


@given(name=st.text(st.characters()))
def test_a_usable_name_survives_the_way_to_a_server(name: str) -> None:
    if is_usable_name(name):
        assert name.encode().decode() == name
        assert "\0" not in name


@pytest.mark.parametrize("namespace", ["DiaryEntry", "Group"])
def test_a_delete_may_name_any_subject_of_one_object(namespace: str) -> None:
    require_deletable([RelationTuple(namespace, "x" * 600, "unheard-of", "")])


def test_a_refusal_names_the_relation() -> None:
    with pytest.raises(PermissionRefusedError, match="DiaryEntry#view"):
        require_insertable([RelationTuple("DiaryEntry", "1", "view", "ann")])
