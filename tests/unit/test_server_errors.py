"""What a model is told about arguments that do not fit."""

import pytest
from pydantic import ValidationError

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.server.arguments import CreateArguments, check_label
from diary_mcp.server.errors import invalid_arguments


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"content": "x" * 100_001}, "content should have at most 100,000 characters, not 100,001"),
        ({"content": ""}, "content should have at least 1 character"),
        ({"content": 7}, "content should be a valid string"),
        (
            {"content": "x\0"},
            "content must not contain NUL (U+0000), a lone surrogate or bytes that are no UTF-8",
        ),
        (
            {"content": "x", "tags": [str(number) for number in range(21)]},
            "tags should have at most 20 items, not 21",
        ),
        (
            {"content": "x", "tags": ["ok", "t" * 65]},
            "tags.1 should have at most 64 characters, not 65",
        ),
        ({"content": "x", "importance": 2}, "importance should be less than or equal to 1"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_with_a_value_is_told_after_its_name(
    arguments: dict[str, object], told: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        CreateArguments.model_validate(arguments)

    (content,) = invalid_arguments(caught.value, "diary_create", []).content

    assert content.model_dump()["text"] == (
        f"invalid_argument: {told}. Correct this and call diary_create again."
    )


def test_a_label_that_is_too_long_is_told_in_the_same_words() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_label("entry_id", "x" * 256)

    assert str(caught.value) == (
        "entry_id should have at most 255 characters, not 256. Correct it and try again."
    )
