"""What a client may write in the arguments of a tool."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from diary_mcp.domain.fields import format_time
from diary_mcp.server.tools.arguments import (
    CreateArguments,
    ListArguments,
    ReflectArguments,
    SearchArguments,
    ShareArguments,
    UpdateArguments,
)


@pytest.mark.parametrize(
    "words", ["now", "monday", "2 hours ago", "the last 24 hours", "in may", "2026-06", "2026"]
)
def test_since_and_until_understand_spans_and_moments_in_words(words: str) -> None:
    for asked in (
        ListArguments.model_validate({"since": words, "until": words}),
        ReflectArguments.model_validate({"since": words, "until": words}),
        SearchArguments.model_validate({"query": "x", "since": words, "until": words}),
    ):
        assert asked.since is not None
        assert asked.until is not None
        assert asked.since - timedelta(seconds=10) <= asked.until


def test_now_is_this_instant() -> None:
    before = datetime.now(UTC)

    asked = ListArguments.model_validate({"since": "now"})

    assert asked.since is not None
    assert before <= asked.since <= datetime.now(UTC)


def test_a_list_that_words_bound_is_the_same_list_when_it_goes_on_later() -> None:
    first, later = (
        ListArguments.model_validate({"since": "2 hours ago", "until": "now"}).filters
        for _ in range(2)
    )

    assert first.until != later.until
    assert first.model_dump_json() == later.model_dump_json()


@pytest.mark.parametrize("words", ["soon", "yesterday at ten", "not yesterday", "now " * 40, ""])
def test_what_names_no_time_is_refused_with_what_is_understood(words: str) -> None:
    with pytest.raises(ValidationError, match=r"2026-01 or 2026, or words such as now, yesterday"):
        ListArguments.model_validate({"until": words})


@pytest.mark.parametrize("words", ["0001-01-01T00:00:00+14:00", "31 Dec 9999 23:00 -0500"])
def test_a_time_that_is_in_no_year_of_utc_is_refused_with_the_years_there_are(words: str) -> None:
    with pytest.raises(ValidationError, match=r"is out of range: the years are 1 to 9999"):
        ListArguments.model_validate({"since": words})


def test_a_time_stays_the_instant_that_it_is() -> None:
    asked = ListArguments.model_validate(
        {"since": "2026-06-01 10:00 +0200", "until": "2026-06-01T10:00"}
    )

    assert asked.since is not None
    assert asked.until is not None
    assert format_time(asked.since) == "2026-06-01T08:00:00Z"
    assert format_time(asked.until) == "2026-06-01T10:00:00Z"


INVISIBLE = {
    "white space": " \t\r\n\u00a0\u1680\u2003\u2028\u3000",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphens": "\u00ad\u00ad",
    "fillers": "\u115f\u1160\u3164\uffa0",
    "directions": "\u202e\u2066\u2069\u061c",
    "of other scripts": "\u180e\u180b\u17b4\u2800",
    "variation selectors": "\ufe0f\U000e0100\u034f",
    "tags": "\U000e0041\U000e007f",
    "controls": "\x01\x07\x7f",
}


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_what_is_written_has_something_to_read(text: str) -> None:
    entry: dict[str, object] = {"entry_id": "x", "expected_version": 1}
    share = {"entry_id": "x", "with": "bob"}
    for arguments, field, given, value in (
        (CreateArguments, "content", {}, text),
        *((CreateArguments, each, {"content": "x"}, text) for each in ("title", "author")),
        *((CreateArguments, each, {"content": "x"}, text) for each in ("session", "key")),
        (CreateArguments, "tags", {"content": "x"}, ["a", text]),
        *((UpdateArguments, each, entry, text) for each in ("content", "title")),
        (UpdateArguments, "tags", entry, [text]),
        (ShareArguments, "note", share, text),
    ):
        with pytest.raises(ValidationError, match="invisible characters alone") as refused:
            arguments.model_validate({**given, field: value})
        assert refused.value.errors()[0]["loc"][0] == field
        seen = f"{text}x" if isinstance(value, str) else [f"{text}x"]
        assert arguments.model_validate({**given, field: seen})
