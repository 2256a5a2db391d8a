"""What makes a bar doubtful, what it costs, and for how long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from small_market import (
    RULES,
    Row,
    bar,
    bars_of,
    context_of,
    flat_bars,
    some_sessions,
)

from engine.context import join_context
from engine.quality import QUALITY_EVENTS, add_quality

SESSION = some_sessions(1)[0]
QUIET = {"atr_seed_ticks": 2.0, "prior_close_ticks": 20_000}


def judged(rows: list[Row], **known: Any) -> pl.DataFrame:
    context = context_of(SESSION, **{**QUIET, **known})
    return add_quality(join_context(bars_of(SESSION, rows), context), RULES)


def events(frame: pl.DataFrame) -> list[str]:
    return frame["quality_events"].to_list()


def spread(ticks: int, price: int = 20_000) -> Row:
    return bar(price, price + 1, price - 1, price, bid_ticks=price, ask_ticks=price + ticks)


def test_clean_bars_raise_no_event_and_score_one() -> None:
    frame = judged(flat_bars(30))

    assert events(frame) == [""] * 30
    assert frame["dvs"].unique().to_list() == [1.0]


def test_a_lost_minute_is_a_gap_on_the_bar_after_it() -> None:
    rows = [*flat_bars(3), bar(20_000, 20_001, 19_999, 20_000, minute=4)]

    assert events(judged(rows)) == ["", "", "", "missing_gap"]


@pytest.mark.parametrize(("minute", "event"), [(0, ""), (1, "missing_gap"), (30, "missing_gap")])
def test_a_session_that_starts_late_starts_with_a_gap(minute: int, event: str) -> None:
    assert events(judged([bar(20_000, 20_001, 19_999, 20_000, minute=minute)])) == [event]


@pytest.mark.parametrize(("seconds", "event"), [(90, ""), (91, "missing_gap")])
def test_a_gap_is_more_than_ninety_seconds(seconds: int, event: str) -> None:
    bars = bars_of(SESSION, flat_bars(2))
    late = bars["closes_at"][0] + timedelta(seconds=seconds)
    moved = bars.with_columns(
        closes_at=pl.Series([bars["closes_at"][0], late]).dt.cast_time_unit("us")
    )

    frame = add_quality(join_context(moved, context_of(SESSION, **QUIET)), RULES)

    assert events(frame) == ["", event]


@pytest.mark.parametrize("minute", [3, 1])
def test_a_close_not_after_the_one_before_is_a_time_regression(minute: int) -> None:
    rows = [*flat_bars(4), bar(20_000, 20_001, 19_999, 20_000, minute=minute)]

    assert events(judged(rows))[-1] == "time_regression"


def test_the_third_frozen_bar_at_one_price_is_a_stuck_feed() -> None:
    frozen = bar(20_000, 20_000, 20_000, 20_000, 7)

    found = events(judged([*flat_bars(2), frozen, frozen, frozen, frozen, *flat_bars(1)]))

    assert found == ["", "", "", "", "stuck_feed", "stuck_feed", ""]


def test_frozen_bars_at_changing_prices_or_without_volume_are_not_stuck() -> None:
    moving = [bar(p, p, p, p, 7) for p in (20_000, 20_001, 20_000, 20_001)]
    empty = [bar(20_000, 20_000, 20_000, 20_000, 0)] * 3

    assert events(judged(moving)) == [""] * 4
    assert events(judged(empty)) == ["zero_volume"] * 3


def test_a_huge_range_on_usual_volume_is_an_outlier_and_on_great_volume_a_shock() -> None:
    usual = [bar(20_000, 20_001, 19_999, 20_000 + n % 2, 1000 + n % 3) for n in range(40)]
    print_ = bar(20_000, 20_040, 20_000, 20_030, 1000)
    news = bar(20_000, 20_040, 20_000, 20_030, 9000)

    bad, real = judged([*usual, print_]), judged([*usual, news])

    assert (events(bad)[-1], bad["is_shock"][-1]) == ("outlier_no_shock", False)
    assert (events(real)[-1], real["is_shock"][-1]) == ("", True)


def test_a_huge_bar_that_goes_nowhere_is_no_shock() -> None:
    usual = [bar(20_000, 20_001, 19_999, 20_000 + n % 2, 1000 + n % 3) for n in range(40)]

    frame = judged([*usual, bar(20_000, 20_040, 19_990, 20_001, 9000)])

    assert not frame["is_shock"].any()


def test_unknown_volume_score_makes_neither_outlier_nor_shock() -> None:
    frame = judged([*flat_bars(5), bar(20_000, 20_040, 20_000, 20_030, 90_000)])

    assert events(frame) == [""] * 6
    assert frame["is_shock"].to_list() == [False] * 6


@pytest.mark.parametrize(("seconds", "event"), [(5, ""), (5.000001, "late_bar"), (60, "late_bar")])
def test_a_bar_is_late_after_five_seconds(seconds: float, event: str) -> None:
    arrived = SESSION.opens_at + timedelta(minutes=1, seconds=seconds)

    assert events(judged([bar(20_000, 20_001, 19_999, 20_000, arrived_at=arrived)])) == [event]


@pytest.mark.parametrize(
    ("ticks", "event"),
    [(1, ""), (10, ""), (11, "spread_anomaly"), (0, "crossed_quote"), (-3, "crossed_quote")],
)
def test_a_quote_is_judged_by_its_spread(ticks: int, event: str) -> None:
    assert events(judged([spread(ticks)])) == [event]


def test_a_quote_is_missed_only_after_the_session_has_shown_one() -> None:
    none = flat_bars(1)[0]
    half = {**none, "bid_ticks": 20_000}

    assert events(judged([none, none])) == ["", ""]
    assert events(judged([none, spread(1), none, half])) == [
        "",
        "",
        "missing_quote",
        "missing_quote",
    ]


def test_a_quote_of_another_session_makes_none_missing_in_this_one() -> None:
    sessions = some_sessions(2)
    bars = pl.concat([bars_of(sessions[0], [spread(1)]), bars_of(sessions[1], flat_bars(2))])
    contexts = pl.concat([context_of(session, **QUIET) for session in sessions])

    frame = add_quality(join_context(bars, contexts), RULES)

    assert events(frame) == ["", "", ""]


@pytest.mark.parametrize(
    ("close", "event"),
    [(21_400, ""), (21_401, "price_band"), (18_600, ""), (18_599, "price_band")],
)
def test_a_close_beyond_seven_percent_of_the_settlement_is_outside_the_band(
    close: int, event: str
) -> None:
    assert events(judged([bar(close, close, close, close)])) == [event]


def test_without_a_prior_close_there_is_no_band() -> None:
    rows = [bar(99_000, 99_001, 98_999, 99_000)]

    assert events(judged(rows, prior_close_ticks=None)) == [""]


def test_every_set_of_events_costs_the_sum_of_its_penalties() -> None:
    penalties = RULES.data.penalties
    late = SESSION.opens_at + timedelta(minutes=9)
    worst = bar(
        90_000, 90_000, 90_000, 90_000, 0, minute=2, arrived_at=late, bid_ticks=3, ask_ticks=1
    )

    frame = judged([worst])

    held = events(frame)[0].split(",")
    assert held == ["missing_gap", "zero_volume", "late_bar", "crossed_quote", "price_band"]
    assert sum(penalties[name] for name in held) > 1
    assert frame["bar_score"].to_list() == [0.0]


def test_small_doubts_that_cost_a_fifth_leave_exactly_the_entry_gate() -> None:
    together = {**RULES.data.penalties, "zero_volume": 0.05, "spread_anomaly": 0.15}
    rules = replace(RULES, data=replace(RULES.data, penalties=together))
    rows = [{**spread(11), "volume": 0}]

    frame = add_quality(join_context(bars_of(SESSION, rows), context_of(SESSION)), rules)

    assert 1.0 - 0.05 - 0.15 < 0.8
    assert frame["bar_score"].to_list() == [0.8]


def test_one_bad_bar_taints_the_next_nine_and_not_the_tenth() -> None:
    rows = [*flat_bars(3), bar(20_000, 20_001, 19_999, 20_000, 0), *flat_bars(12)]

    dvs = judged(rows)["dvs"].to_list()

    assert dvs == [1.0] * 3 + [0.8] * 10 + [1.0] * 3


def test_a_session_starts_without_the_taint_of_the_one_before() -> None:
    sessions = some_sessions(2)
    bars = pl.concat(
        [bars_of(sessions[0], [bar(1, 1, 1, 1, 0)]), bars_of(sessions[1], flat_bars(2))]
    )
    contexts = pl.concat([context_of(session) for session in sessions])

    frame = add_quality(join_context(bars, contexts), RULES)

    assert frame["dvs"].to_list() == [0.8, 1.0, 1.0]


def test_penalties_come_from_the_contract() -> None:
    dearer = {**RULES.data.penalties, "zero_volume": 0.7}
    rules = replace(RULES, data=replace(RULES.data, penalties=dearer))
    frame = join_context(bars_of(SESSION, [bar(1, 1, 1, 1, 0)]), context_of(SESSION))

    assert add_quality(frame, rules)["bar_score"].to_list() == [pytest.approx(0.3)]


def test_every_event_of_the_contract_is_judged_and_no_other() -> None:
    assert set(RULES.data.penalties) == set(QUALITY_EVENTS)
