"""The rule of the race on our own exchange, and on another engine where it can be installed."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.units import Side
from pipelines.measurements import BenchBars
from pipelines.stopwatch import own_run
from pipelines.stopwatch.engines import engines_named
from pipelines.stopwatch.environments import Unusable, environment_of
from pipelines.stopwatch.own_rule import plain_exchange, play_rule
from pipelines.stopwatch.race import Entrant, run_once
from pipelines.stopwatch.rule import BUSY, Fills, RaceRule, rule_bars, write_bars, write_rule
from pipelines.stopwatch.trades import RuleTrade, trades_of

RULES = load_rules()
SMALL = RaceRule(channel_bars=2, stop_ticks=4, target_ticks=6, flat_minutes=1)
OPENS_AT = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
QUIET = (100, 100, 100, 100)
BREAKOUT = (100, 102, 100, 102)
"""Closes above the two quiet bars before it: stop 98, target 108, and a first fill at 102."""


def day(*bars: tuple[int, int, int, int]) -> pl.DataFrame:
    """One session of these bars: open, high, low, close."""
    return pl.DataFrame(
        [
            {
                "closes_at": OPENS_AT + timedelta(minutes=minute + 1),
                "open_ticks": first,
                "high_ticks": high,
                "low_ticks": low,
                "close_ticks": last,
                "volume": 10,
                "minute": minute,
                "minutes_left": len(bars) - 1 - minute,
            }
            for minute, (first, high, low, last) in enumerate(bars)
        ]
    )


def played(bars: pl.DataFrame, fills: Fills = Fills.THIS_CLOSE) -> list[RuleTrade]:
    exchange = plain_exchange(RULES.instrument)
    return play_rule(bars, SMALL, fills, exchange, RULES.instrument.symbol)


def legs(trades: list[RuleTrade]) -> list[tuple[int, int, int, int, int]]:
    """Side, entry and exit, each with its bar."""
    return [
        (trade.side.value, trade.entry_bar, trade.entry_ticks, trade.exit_bar, trade.exit_ticks)
        for trade in trades
    ]


def test_a_breakout_is_bought_at_its_close_and_ends_at_its_target() -> None:
    trades = played(day(QUIET, QUIET, BREAKOUT, (103, 108, 103, 107), *[QUIET] * 4))

    assert legs(trades)[0] == (1, 2, 102, 3, 108)
    assert trades[0].fees_usd == 2 * RULES.instrument.fees.per_side_usd


def test_at_the_next_open_it_pays_that_open_and_keeps_its_levels() -> None:
    bars = day(QUIET, QUIET, BREAKOUT, (103, 108, 103, 107), *[QUIET] * 4)

    assert legs(played(bars, Fills.NEXT_OPEN))[0] == (1, 3, 103, 3, 108)


def test_a_bar_with_both_ends_at_the_stop() -> None:
    trades = played(day(QUIET, QUIET, BREAKOUT, (103, 108, 98, 104), *[QUIET] * 4))

    assert legs(trades)[0] == (1, 2, 102, 3, 98)


def test_a_breakdown_is_sold() -> None:
    trades = played(day(QUIET, QUIET, (100, 100, 98, 98), (98, 98, 92, 92), *[QUIET] * 4))

    assert legs(trades)[0] == (-1, 2, 98, 3, 92)
    assert trades[0].side is Side.SHORT


def test_what_is_open_is_closed_before_the_session_ends() -> None:
    bars = day(QUIET, QUIET, BREAKOUT, *[(103, 103, 103, 103)] * 3)

    assert legs(played(bars)) == [(1, 2, 102, 4, 103)]
    assert legs(played(bars, Fills.NEXT_OPEN)) == [(1, 3, 103, 5, 103)]


def test_nothing_is_entered_on_the_bar_on_which_a_trade_ended() -> None:
    ends_high = (103, 120, 103, 120)
    rises_again = (120, 121, 120, 121)

    trades = played(day(QUIET, QUIET, BREAKOUT, ends_high, rises_again, *[QUIET] * 4))

    assert [trade.entry_bar for trade in trades[:2]] == [2, 4]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bars of two sessions."""
    sessions = sessions_between(date(2024, 1, 2), date(2024, 1, 3), RULES.session)
    folder = tmp_path_factory.mktemp("race")
    BenchBars.generated(sessions, RULES).store(folder)
    return folder


def test_every_run_of_ours_leaves_an_answer(market: Path, tmp_path: Path) -> None:
    for name in ("full", "trades", "rule"):
        own_run.main(name, market, tmp_path / name)

    told = {path.name: json.loads(path.read_bytes()) for path in tmp_path.iterdir()}
    assert set(told) == {"full", "trades", "rule"}
    assert all(run["run_seconds"] > 0 and run["cpu_seconds"] > 0 for run in told.values())
    assert all(run["peak_rss_mb"] > 50 for run in told.values())
    assert told["full"]["trades"] == told["trades"]["trades"]
    assert {len(trade) for trade in told["rule"]["trades"]} == {6}


def test_another_engine_makes_the_same_trades(market: Path, tmp_path: Path) -> None:
    (engine,) = engines_named("backtrader")
    python = environment_of(engine, tmp_path / "environments")
    if isinstance(python, Unusable):
        pytest.skip(python.reason)
    stored, instrument = BenchBars.stored(market), RULES.instrument
    bars = rule_bars(stored.bars, stored.contexts)
    given = write_bars(bars, instrument, tmp_path)

    for fills in Fills:
        rule = write_rule(BUSY, instrument, fills, tmp_path)
        command = (str(python), str(engine.script), str(given), str(rule))
        entrant = Entrant(key="x", title="x", simulates="x", command=command)
        run_once(entrant, tmp_path / "answer.json")

        assert entrant.problem is None
        ours = play_rule(bars, BUSY, fills, plain_exchange(instrument), instrument.symbol)
        theirs = trades_of(entrant.runs[0].trades, float(instrument.tick_size))
        assert theirs == ours
        assert len(ours) > 10
        assert {trade.fees_usd for trade in ours} == {Decimal("1.24")}
    assert environment_of(engine, tmp_path / "environments") == python
