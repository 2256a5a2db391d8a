"""The wrong time zone is told from the volume: on generated bars, and on real ones with a night."""

from datetime import date, timedelta

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.errors import SourceError
from engine.zone import refuse_wrong_zone
from pipelines.sources import read_source
from pipelines.sweep_bars import bars_of_source

RULES = load_rules()
FIRST, LAST = date(2024, 7, 1), date(2024, 7, 5)
SESSIONS = sessions_between(FIRST, LAST, RULES.session)


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


class Moved:
    """The generator, as a file of it would be read in another zone."""

    name = "csv:bars.csv"

    def __init__(self, hours: int) -> None:
        self._shift = timedelta(hours=hours)

    def date_range(self) -> tuple[date, date]:
        return FIRST, LAST

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        raw = read_source("generator:7", symbol, first_date, last_date)
        return raw.with_columns(pl.col("opens_at") + self._shift)


def test_a_sweep_straight_from_a_source_refuses_the_wrong_zone_too() -> None:
    right = bars_of_source(Moved(0), RULES, FIRST, LAST)

    with pytest.raises(SourceError, match=r"csv:bars\.csv: .* is the zone right"):
        bars_of_source(Moved(-1), RULES, FIRST, LAST)

    assert right.bars.height == 390 * 2 + 210 + 390


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
