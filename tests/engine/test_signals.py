"""Single signals on bars written down by hand, their registry, and their page."""

from dataclasses import replace
from pathlib import Path
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
    random_bars,
    seen,
    some_sessions,
)

from engine.calendar import Phase
from engine.rules import Rules
from engine.signals import SIGNALS, Unit, signal, signals_page
from engine.signals.registry import companion

DOCS = Path(__file__).resolve().parents[2] / "docs" / "signals.md"
SESSION = some_sessions(1)[0]
KNOWN: dict[str, Any] = {
    "atr_seed_ticks": 2.0,
    "prior_close_ticks": 19_990,
    "prior_poc_ticks": 19_980,
    "prior_vw_deviation_ticks": 10.0,
    "median_range_ticks": 40.0,
    **{f"atr_median_{half:02d}": 2.0 for half in range(13)},
}


def last(rows: list[Row], **known: Any) -> dict[str, Any]:
    """The last bar as the desk sees it."""
    frame = seen(bars_of(SESSION, rows), context_of(SESSION, **{**KNOWN, **known}))
    return frame.row(-1, named=True)


def test_there_are_thirty_five_signals_in_the_order_of_their_numbers() -> None:
    assert [known.number for known in SIGNALS.values()] == list(range(1, 36))
    assert list(SIGNALS) == [known.name for known in SIGNALS.values()]


def test_the_page_of_signals_is_what_the_code_says() -> None:
    assert DOCS.read_text(encoding="utf-8") == signals_page()


def test_every_signal_says_what_it_means_and_what_it_needs() -> None:
    frame = seen(random_bars(1, [SESSION]), context_of(SESSION))

    for known in SIGNALS.values():
        assert known.meaning.endswith("."), known.name
        assert known.low < known.high
        assert not known.signed or known.low == -known.high
        assert frame.schema[known.name] == pl.Float64
        assert f"## S{known.number} `{known.name}`" in signals_page()


@pytest.mark.parametrize(("name", "number"), [("another", 1), ("vwap_z", 99), ("regime", 99)])
def test_a_number_or_name_is_given_only_once(name: str, number: int) -> None:
    def body(_: Rules) -> pl.Expr:
        return pl.lit(0.0)

    body.__name__ = name

    with pytest.raises(ValueError, match="choose another"):
        signal(number=number, unit=Unit.FLAG, low=0, high=1, needs=())(body)
    if number == 99:
        with pytest.raises(ValueError, match="choose another"):
            companion(needs=())(body)


def test_columns_that_only_help_others_do_not_leave() -> None:
    frame = seen(random_bars(1, [SESSION]), context_of(SESSION))

    assert [name for name in frame.columns if name.startswith("_")] == []


def test_the_gap_is_that_of_the_open_all_day() -> None:
    frame = seen(bars_of(SESSION, flat_bars(5)), context_of(SESSION, **KNOWN))

    assert frame["gap_from_prev_close_n"].to_list() == [10 / 40] * 5


def test_distance_from_the_prior_point_of_control_is_in_its_deviations() -> None:
    assert last(flat_bars(1))["distance_from_poc"] == (20_000 - 19_980) / 10


@pytest.mark.parametrize(
    ("row", "wick", "location"),
    [
        (bar(100, 104, 98, 102), (2 - 2) / 6, (4 - 2) / 6),
        (bar(103, 104, 96, 104), 7 / 8, 1.0),
        (bar(100, 108, 100, 100), -1.0, -1.0),
        (bar(100, 100, 100, 100), 0.0, 0.0),
    ],
)
def test_the_shape_of_a_bar(row: Row, wick: float, location: float) -> None:
    found = last([row])

    assert found["rejection_wick_n"] == pytest.approx(wick)
    assert found["close_location_value"] == pytest.approx(location)


@pytest.mark.parametrize(
    ("close", "distance"), [(20_005, 4), (20_001, 0), (19_999, 0), (19_996, -3)]
)
def test_a_break_counts_ticks_beyond_the_sixty_bars_before(close: int, distance: int) -> None:
    found = last([*flat_bars(60), bar(20_000, max(20_000, close), min(20_000, close), close)])

    expected = max(-2.0, min(2.0, distance / found["atr_14_ticks"]))
    assert found["breakout_distance_n"] == pytest.approx(expected)


def test_breaks_are_unknown_for_sixty_bars() -> None:
    frame = seen(bars_of(SESSION, flat_bars(62)), context_of(SESSION, **KNOWN))

    for name in ("breakout_distance_n", "sweep_reversal_score", "failed_break"):
        assert frame[name].null_count() == 60
        assert frame[name][60] == 0


def test_a_swept_low_is_bullish_and_fades_over_two_bars() -> None:
    sweep = bar(20_000, 20_000, 19_997, 20_001)
    rows = [*flat_bars(60), sweep, *flat_bars(3)]
    frame = seen(bars_of(SESSION, rows), context_of(SESSION, **KNOWN))

    score = min(1.0, 2 / frame["atr_14_ticks"][60])
    assert frame["sweep_reversal_score"][60:].to_list() == pytest.approx(
        [score, score * 2 / 3, score / 3, 0]
    )
    assert frame["sweep_extreme_ticks"][60:].to_list() == [19_997, 19_997, 19_997, None]


def test_a_swept_high_is_bearish_and_a_pierce_of_one_tick_is_no_sweep() -> None:
    high = last([*flat_bars(60), bar(20_000, 20_003, 20_000, 20_000)])
    shallow = last([*flat_bars(60), bar(20_000, 20_002, 20_000, 20_000)])
    stayed_out = last([*flat_bars(60), bar(20_000, 20_009, 20_000, 20_001)])

    assert high["sweep_reversal_score"] < 0
    assert high["sweep_extreme_ticks"] == 20_003
    assert shallow["sweep_reversal_score"] == 0
    assert stayed_out["sweep_reversal_score"] == 0


def test_a_break_that_closes_back_inside_within_five_bars_has_failed() -> None:
    down = bar(20_000, 20_000, 19_990, 19_992)
    below = [bar(19_992, 19_993, 19_991, 19_992)] * 3
    back = bar(19_992, 20_001, 19_992, 20_000)

    found = last([*flat_bars(60), down, *below, back])
    late = last([*flat_bars(60), down, *below, *below, back])

    assert found["failed_break"] == 1
    assert found["failed_break_extreme_ticks"] == 19_990
    assert found["failed_break_depth"] == max(-1.0, (19_999 - 20_000) / found["atr_14_ticks"])
    assert late["failed_break"] == 0
    assert late["failed_break_extreme_ticks"] is None


def test_a_failed_upside_break_is_bearish() -> None:
    up = bar(20_000, 20_012, 20_000, 20_008)

    found = last([*flat_bars(60), up, bar(20_008, 20_009, 19_999, 20_000)])

    assert found["failed_break"] == -1
    assert found["failed_break_extreme_ticks"] == 20_012


def test_the_opening_range_is_unknown_while_it_forms_and_all_day_when_unseen() -> None:
    rows = [*flat_bars(30), bar(20_000, 20_007, 20_000, 20_005)]
    frame = seen(bars_of(SESSION, rows), context_of(SESSION, **KNOWN))
    unseen = last([bar(20_000, 20_001, 19_999, 20_000, minute=30 + n) for n in range(40)])

    assert frame["opening_range_break"].null_count() == 30
    assert frame["opening_range_break"][30] == pytest.approx(4 / frame["atr_14_ticks"][30], abs=0.5)
    assert unseen["opening_range_break"] is None


@pytest.mark.parametrize(
    ("minute", "length", "phase"),
    [
        (-1, 390, Phase.PRE_MARKET),
        (0, 390, Phase.OPENING),
        (29, 390, Phase.OPENING),
        (30, 390, Phase.MID_MORNING),
        (119, 390, Phase.MID_MORNING),
        (120, 390, Phase.LUNCH),
        (240, 390, Phase.AFTERNOON),
        (329, 390, Phase.AFTERNOON),
        (330, 390, Phase.CLOSE),
        (389, 390, Phase.CLOSE),
        (390, 390, Phase.AFTER_RTH),
        (149, 210, Phase.LUNCH),
        (150, 210, Phase.CLOSE),
    ],
)
def test_the_phase_follows_the_clock_and_the_bell(minute: int, length: int, phase: Phase) -> None:
    found = last([bar(20_000, 20_001, 19_999, 20_000, minute=minute)], session_minutes=length)

    assert found["session_phase"] == phase


@pytest.mark.parametrize(("minute", "gate"), [(119, 1), (120, 0), (239, 0), (240, 1)])
def test_lunch_is_by_the_clock_even_on_a_half_day(minute: int, gate: int) -> None:
    row = bar(20_000, 20_001, 19_999, 20_000, minute=minute)

    assert last([row])["lunch_void_gate"] == gate
    assert last([row], session_minutes=210)["lunch_void_gate"] == gate


@pytest.mark.parametrize(
    ("spread", "tickiness"), [(1, 1.0), (2, 0.5), (3, 0.0), (9, 0.0), (0, None), (None, None)]
)
def test_spread_tickiness_is_linear_and_unknown_without_a_usable_quote(
    spread: int | None, tickiness: float | None
) -> None:
    quote = {} if spread is None else {"bid_ticks": 20_000, "ask_ticks": 20_000 + spread}

    assert last([bar(20_000, 20_001, 19_999, 20_000, **quote)])["spread_tickiness"] == tickiness


@pytest.mark.parametrize(
    ("price", "nearness"),
    [(20_000, 1.0), (20_002, 0.5), (19_998, 0.5), (20_004, 0.0), (20_100, 0.0)],
)
def test_round_numbers_are_every_fifty_points(price: int, nearness: float) -> None:
    found = last([bar(price, price + 1, price - 1, price)])

    assert found["round_number_proximity"] == nearness


def test_lateness_counts_only_beyond_seven_tenths_of_the_usual_range() -> None:
    start = bar(20_000, 20_000, 20_000, 20_000)

    early = last([start, bar(20_000, 20_028, 20_000, 20_028)])
    late = last([start, bar(20_000, 20_030, 20_000, 20_030)])
    from_the_high = last(
        [start, bar(20_000, 20_030, 20_000, 20_030), bar(20_030, 20_030, 19_990, 19_990)]
    )

    assert early["late_entry_flag"] == 0
    assert late["late_entry_flag"] == 0.75
    assert from_the_high["late_entry_flag"] == 1


def test_a_straight_line_is_efficient_and_a_run_herds() -> None:
    line = [bar(20_000 + n, 20_001 + n, 20_000 + n, 20_001 + n) for n in range(40)]
    paused = [*line, bar(20_040, 20_040, 20_040, 20_040)]

    found = last(line)

    assert found["auction_efficiency"] == 1
    assert found["hhll_trend_strength"] == 1
    assert found["herding_score"] == 1
    assert last(paused)["herding_score"] == 0


def test_reliability_adds_data_spread_and_phase() -> None:
    quoted = bar(20_000, 20_001, 19_999, 20_000, bid_ticks=20_000, ask_ticks=20_002)
    wide = bar(20_000, 20_001, 19_999, 20_000, bid_ticks=20_000, ask_ticks=20_003)

    assert last([quoted])["reliability"] == pytest.approx(1.0)
    assert last([wide])["reliability"] == pytest.approx(0.7)
    assert last([bar(20_000, 20_001, 19_999, 20_000, 0)])["reliability"] == pytest.approx(0.62)
    assert last([{**quoted, "minute": 120}])["reliability"] == pytest.approx(0.4 * 0.5 + 0.3)


def regimes(rows: list[Row], **known: Any) -> list[str]:
    frame = seen(bars_of(SESSION, rows), context_of(SESSION, **{**KNOWN, **known}))
    return frame["regime"].to_list()


def test_the_regime_is_the_first_that_holds() -> None:
    medians = {f"atr_median_{half:02d}" for half in range(13)}
    usual = [bar(20_000, 20_001, 19_999, 20_000 + n % 2, 1000 + n % 3) for n in range(40)]
    shock = bar(20_000, 20_040, 20_000, 20_030, 9000)
    calm = [bar(20_030, 20_031, 20_029, 20_030) for _ in range(16)]
    line = [bar(20_000 + n, 20_001 + n, 20_000 + n, 20_001 + n) for n in range(40)]

    after_shock = regimes([*usual, shock, *calm], **dict.fromkeys(medians, 100.0))

    assert after_shock[40:] == ["shock"] * 15 + ["quiet"] * 2
    assert regimes(flat_bars(1), **dict.fromkeys(medians, 1.0)) == ["volatile"]
    assert regimes(flat_bars(1), **dict.fromkeys(medians, 2.5)) == ["range"]
    assert regimes(flat_bars(1), **dict.fromkeys(medians)) == ["range"]
    assert regimes(line, **dict.fromkeys(medians, 1.0))[-1] == "trend"


def quoted(minute: int, spread: int = 1, width: int = 1) -> Row:
    return bar(
        20_000,
        20_000 + width,
        20_000 - width,
        20_000,
        minute=minute,
        bid_ticks=20_000,
        ask_ticks=20_000 + spread,
    )


def test_slippage_grows_with_volatility_spread_and_the_hour() -> None:
    execution = RULES.execution
    calm, wide = last([quoted(60)]), last([quoted(60, spread=3)])
    fast = last([quoted(60)], **{f"atr_median_{half:02d}": 1.0 for half in range(13)})
    opening, unquoted = last([quoted(10)]), last([bar(20_000, 20_001, 19_999, 20_000, minute=60)])

    base = execution.slippage_ticks_per_side
    assert calm["slippage_ticks"] == base
    assert wide["slippage_ticks"] == base + 2 * execution.slippage_per_spread_tick
    assert fast["slippage_ticks"] == base + execution.slippage_per_atr_ratio
    assert opening["slippage_ticks"] == base * execution.slippage_windows[0].multiplier
    assert unquoted["slippage_ticks"] == base + execution.slippage_unknown_ticks
    assert calm["slippage_risk"] == pytest.approx(1 - base / 6)


def test_slippage_is_capped_and_never_unknown() -> None:
    blown = last([quoted(60, spread=500)])
    nothing_known = seen(
        bars_of(SESSION, [bar(20_000, 20_001, 19_999, 20_000, minute=60)]), context_of(SESSION)
    )

    execution = RULES.execution
    unknown = execution.slippage_ticks_per_side + 2 * execution.slippage_unknown_ticks
    assert blown["slippage_ticks"] == execution.slippage_ticks_max
    assert nothing_known["slippage_ticks"].to_list() == [unknown]


def test_a_round_trip_costs_fees_and_slippage_on_both_sides() -> None:
    fees = 2 * (0.25 + 0.35 + 0.02) / 1.25

    found = last([quoted(60)])

    assert found["friction_ticks"] == pytest.approx(fees + 2 * 0.5)
    assert found["friction_regime_index"] == pytest.approx(1 - found["friction_ticks"] / (3 * 2.0))


def test_an_ordinary_day_can_be_traded_and_a_very_quiet_one_cannot() -> None:
    limit = RULES.decision.friction_share_max
    smallest_target = 2 * RULES.strategies.stop_ticks_min

    ordinary = last([quoted(60)])
    quiet_opening = last([bar(20_000, 20_001, 19_999, 20_000, minute=10)])

    assert ordinary["friction_ticks"] / smallest_target < limit
    assert quiet_opening["friction_ticks"] / (1.25 * RULES.strategies.stop_ticks_min) > limit


def test_costs_come_from_the_contract() -> None:
    dearer = replace(RULES, execution=replace(RULES.execution, slippage_ticks_per_side=2.0))
    frame = seen(bars_of(SESSION, [quoted(60)]), context_of(SESSION, **KNOWN), dearer)

    assert frame["slippage_ticks"].to_list() == [2.0]
