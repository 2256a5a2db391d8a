"""The words that name a source, and the generator."""

from datetime import date

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.errors import SourceError
from engine.generator import generate_bars
from pipelines.sources import SOURCE_KINDS, parse_source, read_source

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
        ("ibkr:here", "expected ibkr alone, got ibkr:here; CREDENCE_IBKR_HOST"),
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


def test_two_symbols_of_one_seed_are_two_markets_under_one_name() -> None:
    first, second = (
        read_source("generator:7", symbol, FIRST, LAST).drop("symbol") for symbol in ("MES", "MNQ")
    )

    assert first.select("opens_at", "source").equals(second.select("opens_at", "source"))
    moves = (each["close"].diff().drop_nulls().sign() for each in (first, second))  # No gaps.
    both = pl.DataFrame(dict(zip(("first", "second"), moves, strict=True)))
    assert abs(both.corr().item(0, 1)) < 0.1
