"""Outcomes: cases written down bar by bar, and the same answer as a slow, obvious follower."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_market import RULES, bar, bars_of, contexts_of, random_bars, some_sessions

from engine.market import market_frame
from engine.outcomes import OUTCOME_COLUMNS, outcomes
from engine.rules import Rules, TemplateRules

FEES = 2 * RULES.instrument.fee_ticks_per_side
SLIPPAGE = 0.5
ON_TOUCH = replace(RULES, execution=replace(RULES.execution, limit_fills_on_touch=True))
SESSIONS = some_sessions(2, minutes=70)

Row = dict[str, Any]
Price = tuple[int, int, int, int]

FLAT: Price = (100, 101, 99, 100)


def followed(
    *bars: Price,
    missing: tuple[int, ...] = (),
    slippage: float = SLIPPAGE,
    rules: Rules = RULES,
) -> Row:
    """K1 long, decided on the first of the bars: a stop of 8 and a target of 10 ticks.

    The session is the bars, sixty minutes of flat ones if fewer. ATR is 6 and VWAP at the close.
    """
    session = some_sessions(1, minutes=60)[0]
    rows = [*bars, *[(bars[-1][3], bars[-1][3] + 1, bars[-1][3] - 1, bars[-1][3])] * 60][:60]
    written = [bar(*row, minute=minute) for minute, row in enumerate(rows) if minute not in missing]
    frame = bars_of(session, written).with_columns(
        session_key=pl.lit(0, pl.Int32),
        session_bar=pl.int_range(pl.len(), dtype=pl.Int32),
        session_minutes=pl.lit(60, pl.Int32),
        atr_14_ticks=pl.lit(6.0),
        slippage_ticks=pl.lit(slippage),
        vwap_z=pl.lit(0.0),
        vwap_ticks=pl.col("close_ticks").cast(pl.Float64),
        hhll_trend_strength=pl.lit(0.0),
        breakout_distance_n=pl.lit(0.0),
        opening_range_break=pl.lit(0.0),
        failed_break=pl.lit(0.0),
        failed_break_extreme_ticks=pl.lit(None, pl.Int32),
        sweep_reversal_score=pl.lit(0.0),
        sweep_extreme_ticks=pl.lit(None, pl.Int32),
    )
    return outcomes(frame, rules).filter(template="K1", side=1).row(0, named=True)


def test_the_columns_are_those_declared_for_every_bar_template_and_side() -> None:
    bars = random_bars(1, SESSIONS)
    frame = market_frame(contexts_of(bars, SESSIONS), bars, RULES)

    rows = outcomes(frame, RULES)

    assert rows.schema == pl.Schema(OUTCOME_COLUMNS)
    assert rows.height == frame.height * 8
    assert rows.select("closes_at", "template", "side").is_duplicated().sum() == 0


def test_the_entry_is_the_next_open_plus_slippage() -> None:
    row = followed(FLAT, (103, 104, 102, 103))

    assert (row["entry_ticks"], row["stop_ticks"], row["target_ticks"]) == (103.5, 8, 10)


def test_a_stop_costs_its_distance_slippage_and_fees() -> None:
    row = followed(FLAT, FLAT, (100, 102, 92, 93))

    assert (row["exit_kind"], row["bars_held"]) == ("stop", 2)
    assert row["ticks_net"] == pytest.approx(-8 - SLIPPAGE - FEES)
    assert (row["mae_ticks"], row["mfe_ticks"]) == (8, 0.5)


def test_a_bar_that_touches_both_is_a_stop() -> None:
    row = followed(FLAT, (100, 120, 80, 118))

    assert (row["exit_kind"], row["bars_held"]) == ("stop", 1)
    assert row["mfe_ticks"] == 0


def test_a_gap_through_the_stop_is_filled_at_the_open() -> None:
    row = followed(FLAT, FLAT, (85, 86, 84, 85))

    assert row["exit_kind"] == "stop"
    assert row["ticks_net"] == pytest.approx(85 - 100.5 - SLIPPAGE - FEES)
    assert row["mae_ticks"] == 15.5


def test_a_target_has_no_slippage_of_its_own() -> None:
    row = followed(FLAT, (100, 111, 98, 110))

    assert row["exit_kind"] == "target"
    assert row["ticks_net"] == pytest.approx(10 - FEES)
    assert (row["mae_ticks"], row["mfe_ticks"]) == (2.5, 10)


def test_a_target_is_filled_on_touch_only_where_the_contract_says_so() -> None:
    # Entered at 101: the target is at 111, exactly the bar's high.
    touching = (100, 111, 99, 100)

    assert followed(FLAT, touching, slippage=1.0)["exit_kind"] == "time"
    assert followed(FLAT, touching, slippage=1.0, rules=ON_TOUCH)["exit_kind"] == "target"


def test_time_is_up_at_the_close_of_the_last_minute_held() -> None:
    row = followed(FLAT, *[FLAT] * 29, (100, 105, 97, 104), (100, 120, 80, 100))

    assert (row["exit_kind"], row["bars_held"]) == ("time", 30)
    assert row["ticks_net"] == pytest.approx(104 - 100.5 - SLIPPAGE - FEES)
    assert (row["mae_ticks"], row["mfe_ticks"]) == (3.5, 4.5)


def test_bars_that_are_missing_do_not_stretch_the_time() -> None:
    row = followed(FLAT, *[FLAT] * 40, missing=tuple(range(10, 20)))

    assert (row["exit_kind"], row["bars_held"]) == ("time", 20)


def at_minute(frame: pl.DataFrame, minute: int) -> pl.DataFrame:
    return frame.filter(pl.col("minute") == minute)


def test_the_session_flattens_everything_and_late_bars_enter_nothing() -> None:
    bars = bars_of(SESSIONS[0], [bar(*FLAT)] * 70)
    frame = market_frame(contexts_of(bars, SESSIONS), bars, RULES)

    rows = outcomes(frame, RULES)

    # 70 minutes, flat 5 before the end: the bar that closes at minute 65 is the last one held.
    assert set(at_minute(rows, 60)["exit_kind"]) == {"flatten"}
    assert set(at_minute(rows, 60)["bars_held"]) == {4}
    assert set(at_minute(rows, 63)["bars_held"]) == {1}
    assert set(at_minute(rows, 64)["exit_kind"]) == {"no_data"}
    assert at_minute(rows, 64)["ticks_net"].null_count() == 8


def test_a_trade_that_the_bars_do_not_finish_has_no_result() -> None:
    bars = bars_of(SESSIONS[0], [bar(*FLAT)] * 40)
    frame = market_frame(contexts_of(bars, SESSIONS), bars, RULES)

    last = outcomes(frame, RULES).filter(pl.col("minute") == 38)

    assert set(last["exit_kind"]) == {"no_data"}
    assert last["entry_ticks"].null_count() == 0
    assert last["ticks_net"].null_count() == last["bars_held"].null_count() == 8


@settings(max_examples=12)
@given(seed=st.integers(0, 5_000), wild=st.booleans(), on_touch=st.booleans())
def test_outcomes_equal_those_of_a_follower_that_goes_bar_by_bar(
    seed: int, wild: bool, on_touch: bool
) -> None:
    rules = ON_TOUCH if on_touch else RULES
    bars = random_bars(seed, SESSIONS, wild=wild, step_ticks=3.0)
    frame = market_frame(contexts_of(bars, SESSIONS), bars, rules)

    rows, seen = outcomes(frame, rules), frame.select(READ).to_dicts()

    for (template, side), mine in rows.group_by("template", "side", maintain_order=True):
        block = next(block for block in rules.strategies.templates if block.id == template)
        assert mine.height == frame.height
        expected = [
            slow_outcome(seen, place, int(side), block, row, rules)  # type: ignore[call-overload]
            for place, row in enumerate(mine.iter_rows(named=True))
        ]
        for row, wanted in zip(mine.iter_rows(named=True), expected, strict=True):
            assert all(map(is_same, (row[name] for name in RESULT), wanted)), (row, wanted)


def is_same(one: object, other: object) -> bool:
    """Equal, or the same number but for rounding."""
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) < 1e-9
    return one == other


RESULT = ("exit_kind", "ticks_net", "bars_held", "mae_ticks", "mfe_ticks")
READ = (
    "session_key",
    "session_minutes",
    "minute",
    "open_ticks",
    "high_ticks",
    "low_ticks",
    "close_ticks",
    "slippage_ticks",
)
NOTHING = ["no_data", None, None, None, None]


def slow_outcome(
    seen: list[dict[str, Any]],
    place: int,
    side: int,
    block: TemplateRules,
    row: Row,
    rules: Rules,
) -> list[object]:
    """One trade, followed as a person would, with the stop and target of its row."""
    decided = seen[place]
    later = [bar for bar in seen[place + 1 :][:60] if bar["session_key"] == decided["session_key"]]
    flat_from = decided["session_minutes"] - rules.session.flatten_minutes_before_end
    slippage, stop, target = decided["slippage_ticks"], row["stop_ticks"], row["target_ticks"]
    if not later or later[0]["minute"] >= flat_from or None in {slippage, stop, target}:
        return NOTHING
    entry = later[0]["open_ticks"] + side * slippage
    assert row["entry_ticks"] == pytest.approx(entry)
    best = worst = 0.0
    for held, now in enumerate(later, start=1):
        gain, loss = sorted(
            (side * (now["high_ticks"] - entry), side * (now["low_ticks"] - entry)), reverse=True
        )
        if -loss >= stop:
            paid = max(stop, side * (entry - now["open_ticks"]))
            return ["stop", -paid - slippage - FEES, held, paid, best]
        worst = max(worst, -loss)
        on_touch = rules.execution.limit_fills_on_touch
        if gain >= target if on_touch else gain > target:
            return ["target", target - FEES, held, worst, target]
        best = max(best, gain)
        net = side * (now["close_ticks"] - entry) - slippage - FEES
        closes = now["minute"] + 1
        if closes >= flat_from:
            return ["flatten", net, held, worst, best]
        if closes - later[0]["minute"] >= block.time_stop_minutes:
            return ["time", net, held, worst, best]
    return NOTHING
