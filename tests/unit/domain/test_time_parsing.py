"""Times as clients, files, tools and people write them."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from diary_mcp.domain.fields import Time, format_time, parse_end, parse_time
from diary_mcp.domain.time_parsing import read_time

MORNING = datetime(2024, 3, 5, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-05 09:30:00 +0100",
        "2024-W10-2T09:30:00+01:00",
        "2024W102T08:30Z",
        "2024-065 08:30",
        "2024-03-05 09:30:00 +01:00",
        "2024-03-05T09:30:00+01",
        "2024-03-05T09:30:00.000+0100",
        "2024-03-05T09:30:00,000+01:00",
        "2024-03-05T09:30:00.123456789+01:00",
        "2024-03-05T09:30+01:00[Europe/Berlin]",
        "2024-03-05T09:30:00+01:00[Europe/Berlin][u-ca=gregory]",
        "2024-03-05 08:30:00 UTC",
        "2024-03-05 08:30 GMT",
        "2024-03-05T08:30:00 Z",
        "2024-03-05 08:30:00 +0000 UTC",
        "2024-03-05 09:30:00.123456789 +0100 CET",
        "2024-03-05 9:30:00 AM +0100",
        "2024-03-05 8:30\u202fa.m.",
        "2024-03-05T07:30:00\u221201:00",
        "  2024-03-05T08:30:00Z ",
        "2024/03/05 08:30:00",
        "2024-3-5 8:30",
        "2024.03.05 08:30",
        "20240305T083000Z",
        "20240305T093000.5+0100",
        "202403050830",
        "Tue, 05 Mar 2024 09:30:00 +0100",
        "05 Mar 2024 08:30:00 GMT",
        "Tue Mar 5 09:30:00 2024 +0100",
        "Tue Mar  5 08:30:00 UTC 2024",
        "Tue Mar 05 2024 09:30:00 GMT+0100 (Central European Standard Time)",
        "Tuesday, 5 March 2024 08:30",
        "March 5th, 2024 at 8:30 am",
        "Tue 2024-03-05 08:30:00 UTC",
    ],
)
def test_every_form_that_names_one_instant_is_read(text: str) -> None:
    assert parse_time(text).replace(second=0, microsecond=0) == MORNING
    assert parse_end(text) == parse_time(text)


@pytest.mark.parametrize(
    "text",
    ["2024-W10-2", "2024-065",
     "2024-03-05", "2024/03/05", "2024-3-5", "20240305", "5 March 2024", "5th of Mar. 2024",
     "March 5, 2024", "Tue, 5 Mar 2024", "5-Mar-2024"],
)  # fmt: skip
def test_a_day_in_any_form_lasts_until_its_end(text: str) -> None:
    assert read_time(text) == date(2024, 3, 5)
    assert parse_time(text) == datetime(2024, 3, 5, tzinfo=UTC)
    assert parse_end(text) == datetime(2024, 3, 5, 23, 59, 59, 999999, UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T18:59:60.25-05:00", "2017-01-01T00:00:00.250000Z"),
        ("2026-01-31T24:00:00Z", "2026-02-01T00:00:00Z"),
        ("2026-12-31T23:59:59.9999999Z", "2026-12-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00Z"),
        ("12:30", None),
    ],
)
def test_the_edges_of_the_clock_and_the_calendar(text: str, moment: str | None) -> None:
    if moment is None:
        assert read_time(text) is None
    else:
        assert format_time(parse_time(text)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "05/03/2024",
        "5 March",
        "March 2024",
        "2024-03",
        "2024-W10",
        "2023-W53-1",
        "2023-366",
        "2024-000",
        "2024-03/05",
        "2024-03-05T09:30:00 CST",
        "2024-03-05 09:30:00 +0100 UTC",
        "2024-03-05 09:30:00 +0100 PM",
        "2024-03-05T09:30:60Z",
        "2024-03-05T24:00:01Z",
        "2024-03-05 13:30 PM",
        "2024-03-05 0:30 AM",
        "2024-02-30",
        "Tuesday",
        "1709627400",
        "2024-03-05T09:30:00Z\0",
        "2024-03-05T09:30:00Z" + " " * 100,
    ],
)
def test_what_may_be_two_instants_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:60Z", "9999-12-31T24:00:00Z", "0001-01-01 00:00 +0100"]
)
def test_an_instant_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_time(text)


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-23 * 60, 23 * 60))
def test_what_is_written_is_read_again_with_any_offset(moment: datetime, minutes: int) -> None:
    assert parse_time(format_time(moment)) == moment
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    try:
        local = moment.replace(tzinfo=None) + timedelta(minutes=minutes)
    except OverflowError:
        return
    assert parse_time(f"{local.isoformat(' ')} {sign}{hours:02}{rest:02}") == moment


@given(st.text(st.sampled_from("0123456789-/+:., TZMarchpm[]()"), max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo == UTC


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_as_json_what_it_is_elsewhere(moment: datetime) -> None:
    times = TypeAdapter[datetime](Time)
    with suppress(ValidationError):  # the first or the last day of all
        assert times.dump_python(times.validate_python(moment), mode="json") == format_time(moment)
