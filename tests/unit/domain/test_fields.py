"""Times as clients and files write them, and counts as people read them."""

from datetime import UTC, datetime

import pytest

from diary_mcp.domain.fields import counted, parse_end, parse_time

EVENING = datetime(2026, 1, 31, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T18:00:00Z",
        "2026-01-31t18:00:00z",
        "2026-01-31T18:00:00.000000000Z",
        "2026-01-31T20:00:00+02:00",
        "2026-01-31T06:30:00-11:30",
        "2026-01-31T18:00:00-00:00",
        "2026-01-31 18:00:00Z",
        "2026-01-31T18:00Z",
        "2026-01-31T18:00:00",
    ],
)
def test_a_time_may_be_written_in_every_form_of_rfc_3339_and_shorter(text: str) -> None:
    assert parse_time(text) == EVENING


def test_a_plain_day_begins_at_midnight_and_ends_with_its_last_microsecond() -> None:
    assert parse_time("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert parse_end("2026-01-31") == datetime(2026, 1, 31, 23, 59, 59, 999999, UTC)
    assert parse_end("2026-01-31T18:00:00Z") == EVENING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-31T18:00:00Z\0",
        "2026-01-31\n",
        "2026-02-30",
        "2026-01-31T25:00:00Z",
        "2026-01-31T18:00:00+25:00",
        "2026-01-31T18:00:00+02:00:30",
        "2026-01-31T18",
        "2026-01-31X18:00:00Z",
        "2026-W05",
        "\N{FULLWIDTH DIGIT TWO}026-01-31",
        "10000-01-01",
        "0000-01-01",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    for parse in (parse_time, parse_end):
        with pytest.raises(ValueError, match=r"RFC 3339|out of range"):
            parse(text)


@pytest.mark.parametrize(
    ("count", "one", "several", "told"),
    [
        (0, "token", None, "0 tokens"),
        (1, "entry", "entries", "1 entry"),
        (2, "entry", "entries", "2 entries"),
        (1000, "waiting change", None, "1000 waiting changes"),
    ],
)
def test_only_one_is_told_in_the_singular(
    count: int, one: str, several: str | None, told: str
) -> None:
    assert counted(count, one, several) == told
