"""The words that name a source, the generator, and the check of the stated zone."""

from datetime import date, timedelta

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.errors import SourceError
from engine.generator import generate_bars
from pipelines.sources import SOURCE_KINDS, parse_source, read_source
from pipelines.sources.zone import refuse_wrong_zone

RULES = load_rules()
FIRST, LAST = date(2024, 7, 1), date(2024, 7, 5)
SESSIONS = sessions_between(FIRST, LAST, RULES.session)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("genrator:7", "did you mean generator"),
        ("", "expected a source, one of generator:SEED"),
        ("generator:", "expected generator:SEED"),
        ("generator:-1", "whole number from 0, got '-1'"),
        ("generator:seven", "whole number from 0, got 'seven'"),
        ("lean:", "expected lean:DIR"),
        ("csv:", "expected csv:PATH"),
        ("ibkr", "no connection to Interactive Brokers; use one of generator:SEED"),
    ],
)
def test_words_that_name_no_source_are_refused_with_what_to_write(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse_source(spec)


@pytest.mark.parametrize("spec", ["generator:7", "lean:folder", "csv:a.csv", "parquet:a.parquet"])
def test_a_source_says_its_own_name(spec: str) -> None:
    assert parse_source(spec).name == spec
    assert spec.partition(":")[0] in SOURCE_KINDS


def test_generated_bars_survive_the_way_through_points_unchanged() -> None:
    raw = read_source("generator:7", "MES", FIRST, LAST)

    checked = check_bars(raw, RULES.instrument, SESSIONS)

    assert checked.bars.equals(generate_bars(SESSIONS, 7, RULES.instrument).bars)
    assert (checked.rejected.height, checked.outside_rth) == (0, 0)
    assert checked.bars.height == 390 * 3 + 210


def test_a_generated_session_does_not_depend_on_the_range_asked_for() -> None:
    alone = read_source("generator:7", "MES", date(2024, 7, 3), date(2024, 7, 3))

    week = read_source("generator:7", "MES", FIRST, LAST)

    assert week.filter(pl.col("opens_at").dt.date() == date(2024, 7, 3)).equals(alone)


def test_the_generator_has_no_bars_on_a_holiday() -> None:
    assert read_source("generator:7", "MES", date(2024, 7, 4), date(2024, 7, 4)).height == 0


@pytest.mark.parametrize("hours", [-14, -6, -5, -4, -1, 1, 4, 5, 6, 9, 14])
def test_a_session_read_in_the_wrong_zone_is_refused(hours: int) -> None:
    raw = read_source("generator:7", "MES", FIRST, LAST)

    moved = raw.with_columns(pl.col("opens_at") + timedelta(hours=hours))

    with pytest.raises(SourceError, match="is the zone right"):
        refuse_wrong_zone(moved, SESSIONS, "csv:bars.csv")


def test_the_refusal_says_how_far_off_the_times_are() -> None:
    raw = read_source("generator:7", "MES", FIRST, LAST)
    chicago_read_as_utc = raw.with_columns(pl.col("opens_at") - timedelta(hours=5))

    with pytest.raises(SourceError, match=r"csv:bars\.csv: .* would if the times were \+5 h"):
        refuse_wrong_zone(chicago_read_as_utc, SESSIONS, "csv:bars.csv")


def test_rows_that_all_lie_outside_regular_hours_are_refused() -> None:
    raw = read_source("generator:7", "MES", FIRST, FIRST)
    evening = raw.with_columns(pl.col("opens_at") + timedelta(hours=9))

    with pytest.raises(SourceError, match="0 of 390 rows fall inside RTH"):
        refuse_wrong_zone(evening, SESSIONS, "csv:bars.csv")


def test_the_right_zone_is_accepted_with_and_without_overnight_bars(real_bars_dir: object) -> None:
    first, last = date(2013, 10, 7), date(2013, 10, 14)
    real = read_source(f"lean:{real_bars_dir}", "MES", first, last)
    sessions = sessions_between(first, last, RULES.session)

    refuse_wrong_zone(real, sessions, "lean")
    for session in sessions:
        day = real.filter(pl.col("opens_at").dt.date() == session.session_date)
        refuse_wrong_zone(day, [session], "lean")
        refuse_wrong_zone(day.filter(pl.col("opens_at") >= session.opens_at), [session], "lean")


@pytest.mark.parametrize("hours", [-5, -4, -1, 1, 4, 5])
def test_real_bars_in_the_wrong_zone_are_refused(real_bars_dir: object, hours: int) -> None:
    first, last = date(2013, 10, 7), date(2013, 10, 11)
    real = read_source(f"lean:{real_bars_dir}", "MES", first, last)

    with pytest.raises(SourceError, match="is the zone right"):
        refuse_wrong_zone(
            real.with_columns(pl.col("opens_at") + timedelta(hours=hours)),
            sessions_between(first, last, RULES.session),
            "lean",
        )
