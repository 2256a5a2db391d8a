"""Candidates: the ladder one change at a time, the score's formulas, and what really occurs."""

from dataclasses import replace
from datetime import date
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_market import RULES, contexts_of

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.calendar import Phase
from engine.candidates import SETUP_COLUMNS, add_candidates
from engine.fitting import fit_beliefs, with_fit
from engine.generator import generate_bars
from engine.ladder import LADDER, PASSED, STEP, Reason
from engine.market import market_frame
from engine.rules import Rules
from engine.signals import SIGNALS
from pipelines.sources.lean import LeanSource

Bar = dict[str, Any]

TUESDAY, MONDAY, FRIDAY = date(2024, 3, 12), date(2024, 3, 11), date(2024, 3, 15)
WIDE = RULES.decision.spread_lockout_ticks

# K1 long in the afternoon: price is 15 ticks under VWAP, ATR is 6, so the stop is 8 ticks.
ENTRY: Bar = {
    "session_date": TUESDAY,
    "session_key": 0,
    "session_bar": 250,
    "session_minutes": 390,
    "minute": 250,
    "close_ticks": 20_000,
    "vwap_ticks": 20_015.0,
    "true_range_ticks": 6,
    "atr_14_ticks": 6.0,
    "atr_30_ticks": 6.0,
    "dvs": 1.0,
    "is_shock": False,
    "regime": "range",
    "spread_ticks": 1,
    "slippage_ticks": 0.5,
    "friction_ticks": 2.0,
    "failed_break": 0.0,
    "failed_break_extreme_ticks": None,
    "sweep_extreme_ticks": None,
    "session_phase": float(Phase.AFTERNOON),
    "vwap_z": -2.0,
    "range_compression": 1.0,
    "atr_14_n": 1.0,
    "f1_long_effective": 0.75,
}
INTEGERS = (
    "session_key",
    "session_bar",
    "session_minutes",
    "minute",
    "close_ticks",
    "spread_ticks",
)


def framed(*bars: Bar) -> pl.DataFrame:
    """Bars of a session of their own each unless they say otherwise, all signals silent."""
    silent = dict.fromkeys(SIGNALS, 0.0)
    beliefs: Bar = {"f5_effective": 0.2, "f5_likelihood": 0.2, "f6_effective": 0.5}
    for prefix in (f"f{n}_{side}" for n in (1, 2, 3, 4) for side in ("long", "short")):
        beliefs |= {f"{prefix}_effective": 0.3, f"{prefix}_likelihood": 0.3}
        beliefs[f"{prefix}_instability"] = 0.01
    rows = [
        {**silent, **beliefs, "f6_likelihood": 0.5, **ENTRY, "session_key": place, **changes}
        for place, changes in enumerate(bars)
    ]
    types: dict[str, Any] = dict.fromkeys((*silent, *beliefs, "atr_30_ticks"), pl.Float64())
    types |= dict.fromkeys((*INTEGERS, "true_range_ticks"), pl.Int32())
    types |= dict.fromkeys(("failed_break_extreme_ticks", "sweep_extreme_ticks"), pl.Int32())
    types |= {"friction_ticks": pl.Float64(), "failed_break": pl.Float64()}
    return pl.DataFrame(rows, schema_overrides=types)


def judged(*bars: Bar, rules: Rules = RULES) -> pl.DataFrame:
    return add_candidates(framed(*bars), rules)


def judged_bar(bar: Bar, rules: Rules = RULES) -> Bar:
    return judged(bar, bar, rules=rules).row(0, named=True)


def market_reason(bar: Bar) -> Reason | None:
    """The market's reason on one bar; null if an entry is possible."""
    step = judged_bar(bar)["market_step"]
    return None if step == PASSED else LADDER[step]


REFUSALS: dict[Reason, Bar] = {
    Reason.DVS_TOO_LOW: {"dvs": 0.79},
    Reason.MISSING_REQUIRED_SIGNAL: {"f5_likelihood": None},
    Reason.SESSION_NOT_TRADABLE: {"minute": 389, "session_phase": float(Phase.CLOSE)},
    Reason.SESSION_WINDOW_BLOCK: {"minute": 150, "session_phase": float(Phase.LUNCH)},
    Reason.VOL_SHOCK_LOCKOUT: {"true_range_ticks": 24},
    Reason.SPREAD_SLIPPAGE_LOCKOUT: {"spread_ticks": 3},
    Reason.NEWS_LOCKOUT: {"is_shock": True, "true_range_ticks": 30},
    Reason.STOP_EXCEEDS_RISK_BUDGET: {"atr_14_ticks": 10.0},
    Reason.BELIEF_TOO_LOW: {"f6_effective": 0.19},
    Reason.STABILITY_NOT_MET: {"f1_long_instability": 0.2},
    Reason.NOISE_VETO: {"f5_effective": 0.7},
    Reason.FRICTION_TOO_HIGH: {"friction_ticks": 4.6},
    Reason.EDGE_SCORE_BELOW_THETA: {"f1_long_effective": 0.65, "dvs": 0.8},
    Reason.NO_CANDIDATE: {"vwap_z": -1.4},
}
MARKET_REASONS = [reason for reason in LADDER if reason in REFUSALS]


def test_the_bar_that_every_case_changes_may_be_entered() -> None:
    row = judged_bar({})

    assert (row["market_step"], row["may_enter"], row["has_setup"]) == (PASSED, True, True)
    assert (row["k1_side"], row["k1_stop_ticks"], row["k1_target_ticks"]) == (1, 8, 15)
    assert row["k1_reason"] is None
    assert [row[f"k{n}_side"] for n in (2, 3, 4)] == [0, 0, 0]


@pytest.mark.parametrize("reason", MARKET_REASONS)
def test_one_change_is_enough_for_every_reason_of_the_market(reason: Reason) -> None:
    row = judged_bar(REFUSALS[reason])

    assert LADDER[row["market_step"]] is reason
    assert row["may_enter"] is False


LAYERS = [reason for reason in MARKET_REASONS if reason is not Reason.NO_CANDIDATE]


PAIRS = [
    (first, second)
    for first, second in combinations(LAYERS, 2)
    if not REFUSALS[first].keys() & REFUSALS[second].keys()
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_refusals_the_first_of_the_ladder_is_the_reason(
    first: Reason, second: Reason
) -> None:
    assert market_reason({**REFUSALS[first], **REFUSALS[second]}) is first


def test_every_gate_that_cannot_be_judged_refuses() -> None:
    for unknown in ("atr_14_ticks", "friction_ticks", "f5_likelihood", "f6_likelihood"):
        assert market_reason({unknown: None}) is Reason.MISSING_REQUIRED_SIGNAL, unknown
    assert market_reason({"f5_effective": None}) is Reason.NOISE_VETO
    assert market_reason({"f6_effective": None}) is Reason.BELIEF_TOO_LOW
    assert market_reason({"f1_long_instability": None}) is Reason.STABILITY_NOT_MET


def test_no_constraint_with_a_likelihood_is_a_missing_signal() -> None:
    unknown = {f"f{n}_{side}_likelihood": None for n in (1, 2, 3, 4) for side in ("long", "short")}

    assert market_reason(unknown) is Reason.MISSING_REQUIRED_SIGNAL
    assert market_reason({**unknown, "f1_long_likelihood": 0.7}) is None


def test_without_a_setup_a_belief_says_no_candidate_and_none_says_belief_too_low() -> None:
    quiet = {"f1_long_effective": 0.6}

    assert market_reason(quiet) is Reason.BELIEF_TOO_LOW
    assert judged_bar(quiet)["k1_reason"] == "BELIEF_TOO_LOW"
    assert judged_bar(quiet)["k1_step_if_believed"] == STEP[Reason.EDGE_SCORE_BELOW_THETA]
    assert judged_bar({"vwap_z": -1.0})["k1_reason"] == "NO_CANDIDATE"


def test_the_template_that_came_furthest_names_the_reason() -> None:
    # K4 is believed and breaks out long beside K1, but its belief is not steady.
    momentum = {
        "hhll_trend_strength": 0.5,
        "breakout_distance_n": 0.4,
        "f4_long_effective": 0.75,
        "f4_long_instability": 0.5,
    }

    assert market_reason(momentum) is None
    assert market_reason({**momentum, "f1_long_instability": 0.5}) is Reason.STABILITY_NOT_MET
    noisy_k4 = {**momentum, "f4_long_instability": 0.01, "f1_long_instability": 0.5}
    assert market_reason({**noisy_k4, "f5_effective": 0.7}) is Reason.NOISE_VETO


@pytest.mark.parametrize(
    ("started", "minutes", "reason"),
    [
        ({"true_range_ticks": 24}, 60, Reason.VOL_SHOCK_LOCKOUT),
        ({"atr_14_n": 2.5}, 60, Reason.VOL_SHOCK_LOCKOUT),
        ({"spread_ticks": 3}, 30, Reason.SPREAD_SLIPPAGE_LOCKOUT),
        ({"slippage_ticks": 3.0}, 30, Reason.SPREAD_SLIPPAGE_LOCKOUT),
        ({"is_shock": True}, 45, Reason.NEWS_LOCKOUT),
    ],
)
def test_a_lockout_lasts_its_minutes_and_no_longer(
    started: Bar, minutes: int, reason: Reason
) -> None:
    calm = [
        {"session_key": 0, "minute": minute, "session_bar": minute} for minute in range(240, 370)
    ]
    calm[10] |= started
    # A bar is lost: minutes count, not bars.
    del calm[12]

    locked = judged(*calm).filter(pl.col("market_step") == STEP[reason])["minute"].to_list()

    assert locked == [minute for minute in range(250, 250 + minutes) if minute != 252]


def test_a_news_shock_is_news_first_and_volatility_for_the_rest_of_the_hour() -> None:
    calm = [
        {"session_key": 0, "minute": minute, "session_bar": minute} for minute in range(240, 370)
    ]
    calm[10] |= REFUSALS[Reason.NEWS_LOCKOUT]

    steps = judged(*calm)["market_step"].to_list()

    assert steps[10:55] == [STEP[Reason.NEWS_LOCKOUT]] * 45
    assert steps[55:70] == [STEP[Reason.VOL_SHOCK_LOCKOUT]] * 15
    assert steps[70] == PASSED


def test_a_lockout_ends_with_its_session() -> None:
    last, first = {"minute": 380, **REFUSALS[Reason.VOL_SHOCK_LOCKOUT]}, {"minute": 250}

    frame = judged({"session_key": 0, **last}, {"session_key": 1, **first})

    assert frame["minutes_since_volatility"].to_list() == [0, None]
    assert frame["may_enter"].to_list() == [False, True]


@pytest.mark.parametrize(
    ("minute", "reason"),
    [
        (3, Reason.SESSION_WINDOW_BLOCK),
        (4, None),
        (118, None),
        (119, Reason.SESSION_WINDOW_BLOCK),
        (238, Reason.SESSION_WINDOW_BLOCK),
        (239, None),
        (383, None),
        (384, Reason.SESSION_WINDOW_BLOCK),
        (388, Reason.SESSION_WINDOW_BLOCK),
        (389, Reason.SESSION_NOT_TRADABLE),
    ],
)
def test_windows_are_judged_at_the_close_of_the_bar(minute: int, reason: Reason | None) -> None:
    assert market_reason({"minute": minute, "f1_long_effective": 0.9}) is reason


def test_a_half_day_ends_three_hours_earlier() -> None:
    half = {"session_minutes": 210, "f1_long_effective": 0.9}

    assert market_reason({**half, "minute": 118}) is None
    assert market_reason({**half, "minute": 209}) is Reason.SESSION_NOT_TRADABLE
    assert judged_bar({**half, "minute": 118})["minutes_to_close"] == 91


# ── Geometry ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "stop", "target"),
    [
        ({"vwap_ticks": 20_015.9}, 8, 15),
        ({"vwap_ticks": 20_003.0}, 8, 10),
        ({"vwap_ticks": 20_100.0}, 8, 24),
        ({"atr_14_ticks": 2.0}, 6, 15),
        ({"atr_14_ticks": 9.7}, 13, 17),
    ],
    ids=[
        "VWAP, not past it",
        "at least 1.25 stops",
        "at most 24",
        "stop at least 6",
        "stop too wide",
    ],
)
def test_k1_trades_back_to_vwap(changes: Bar, stop: int, target: int) -> None:
    row = judged_bar(changes)

    assert (row["k1_side"], row["k1_stop_ticks"], row["k1_target_ticks"]) == (1, stop, target)


def test_a_stop_beyond_the_constitution_is_no_trade_and_never_a_narrower_stop() -> None:
    row = judged_bar({"atr_14_ticks": 9.7})

    assert row["k1_stop_ticks"] == ceil(1.25 * 9.7)
    assert row["k1_reason"] == "STOP_EXCEEDS_RISK_BUDGET"
    assert row["may_enter"] is False


def test_k2_puts_its_stop_two_ticks_behind_the_failed_extreme() -> None:
    failed = {"failed_break": 1.0, "failed_break_extreme_ticks": 19_993, "f2_long_effective": 0.8}

    row = judged_bar({**failed, "vwap_z": 0.0})

    assert (row["k2_side"], row["k2_stop_ticks"], row["k2_target_ticks"]) == (1, 9, 18)


def test_k3_puts_its_stop_two_ticks_behind_the_sweep() -> None:
    swept = {"sweep_reversal_score": -0.4, "sweep_extreme_ticks": 20_008, "f3_short_effective": 0.8}

    row = judged_bar({**swept, "vwap_z": 0.0})

    assert (row["k3_side"], row["k3_stop_ticks"], row["k3_target_ticks"]) == (-1, 10, 20)


def test_a_failed_break_stays_a_setup_for_three_bars_of_its_session() -> None:
    failed = {"failed_break": 1.0, "failed_break_extreme_ticks": 19_993}
    bars = [{"session_key": 0, "minute": 250 + n, "session_bar": n} for n in range(6)]
    bars[1] |= failed
    bars += [{"session_key": 1, "session_bar": n} for n in range(2)]
    bars[5] |= failed

    frame = judged(*({"f2_long_effective": 0.8, **bar} for bar in bars))

    assert frame["k2_side"].to_list() == [0, 1, 1, 1, 0, 1, 0, 0]
    assert frame["k2_stop_ticks"].to_list() == [None, 9, 9, 9, None, 9, None, None]


def test_a_close_past_the_failed_extreme_has_nothing_to_put_a_stop_behind() -> None:
    failed = {"failed_break": 1.0, "failed_break_extreme_ticks": 19_993}
    bars = [
        {"session_key": 0, "session_bar": 0, "minute": 250, **failed},
        {"session_key": 0, "session_bar": 1, "minute": 251, "close_ticks": 19_992},
    ]

    frame = judged(*({"f2_long_effective": 0.8, **bar} for bar in bars))

    assert frame["k2_side"].to_list() == [1, 0]


def test_k4_needs_a_fresh_break_and_the_trend_names_its_side() -> None:
    trend = {"hhll_trend_strength": -0.5, "f4_short_effective": 0.8, "vwap_z": 0.0}

    assert judged_bar(trend)["k4_side"] == 0
    assert judged_bar({**trend, "opening_range_break": -0.3})["k4_side"] == -1
    assert judged_bar({**trend, "breakout_distance_n": 0.3})["k4_side"] == -1
    row = judged_bar({**trend, "breakout_distance_n": -0.4})
    assert (row["k4_stop_ticks"], row["k4_target_ticks"]) == (8, 16)


# ── Score ───────────────────────────────────────────────────────────────────────────────────────


@given(
    belief=st.floats(0.65, 1.0),
    instability=st.floats(0, 0.3),
    dvs=st.floats(0, 1),
    friction=st.floats(0, 10),
    atr=st.floats(1, 12),
    to_vwap=st.floats(-40, 80),
)
def test_the_score_is_the_stated_formula(
    belief: float, instability: float, dvs: float, friction: float, atr: float, to_vwap: float
) -> None:
    changes = {
        "f1_long_effective": belief,
        "f1_long_instability": instability,
        "dvs": dvs,
        "friction_ticks": friction,
        "atr_14_ticks": atr,
        "vwap_ticks": 20_000 + to_vwap,
    }

    row = judged_bar(changes)

    stop = max(6, ceil(1.25 * atr))
    target = min(24, max(to_vwap // 1, ceil(1.25 * stop)))
    p_win = min(0.9, max(0.02, stop / (stop + target) + 0.5 * (belief - 0.35)))
    edge = (p_win * target - (1 - p_win) * stop) / stop
    uncertainty = 0.3 * (1 - dvs) + 0.25 * min(1, instability / 0.1) + 0.2 * (1 - belief)
    assert (row["k1_stop_ticks"], row["k1_target_ticks"]) == (stop, target)
    assert row["k1_p_win"] == pytest.approx(p_win)
    assert row["k1_edge"] == pytest.approx(edge, abs=1e-12)
    assert row["k1_euc"] == pytest.approx(edge - uncertainty - friction / stop, abs=1e-12)


def test_an_uninformed_belief_has_no_edge_before_costs() -> None:
    templates = tuple(replace(template, belief_min=0.35) for template in RULES.strategies.templates)
    rules = replace(RULES, strategies=replace(RULES.strategies, templates=templates))

    row = judged_bar({"f1_long_effective": 0.35}, rules)

    assert row["k1_edge"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "theta"),
    [
        ({}, 0.10),
        ({"minute": 10}, 0.15),
        ({"minute": 29}, 0.05),
        ({"minute": 28}, 0.15),
        ({"minute": 340}, 0.05),
        ({"minute": 368}, 0.05),
        ({"minute": 369}, 0.20),
        ({"minute": 380}, 0.25),
        ({"session_date": MONDAY}, 0.13),
        ({"session_date": FRIDAY}, 0.10),
        ({"session_date": FRIDAY, "minute": 269}, 0.20),
        ({"session_date": FRIDAY, "minute": 268}, 0.10),
        ({"regime": "volatile"}, 0.20),
        ({"regime": "quiet"}, 0.05),
        ({"range_compression": 0.59}, 0.07),
        ({"range_compression": None}, 0.10),
        ({"regime": "quiet", "minute": 340, "range_compression": 0.5}, 0.0),
    ],
)
def test_theta_is_the_base_and_what_the_bar_adds(changes: Bar, theta: float) -> None:
    row = judged_bar({"f1_long_effective": 0.9, **changes})

    assert row["k1_theta"] == pytest.approx(theta)


def test_a_conflict_of_sides_raises_theta_for_both() -> None:
    short = {"f4_short_effective": 0.8, "hhll_trend_strength": -0.5, "breakout_distance_n": -0.4}

    row = judged_bar(short)

    assert (row["k1_side"], row["k4_side"]) == (1, -1)
    assert row["k1_theta"] == pytest.approx(0.25)
    assert row["k4_theta"] == pytest.approx(0.25)


def test_a_bias_counts_for_the_side_it_speaks_of_and_its_sum_is_bounded() -> None:
    long_biases = [m for m in RULES.biases.modifiers if m.side == "with" and m.theta > 0]
    chased, one = long_biases[0], {long_biases[0].signal: 1.0}
    everything = {modifier.signal: 1.0 for modifier in RULES.biases.modifiers}

    assert judged_bar(one)["k1_theta"] == pytest.approx(0.10 + chased.theta)
    assert judged_bar({chased.signal: -1.0})["k1_theta"] == pytest.approx(0.10)
    assert judged_bar({chased.signal: None})["k1_theta"] == pytest.approx(0.10)
    assert judged_bar(everything)["k1_theta"] <= 0.10 + RULES.biases.theta_abs_max + 1e-12


def test_the_columns_of_every_template_are_those_declared() -> None:
    frame = judged({}, {"vwap_z": 0.0})

    for name, dtype in SETUP_COLUMNS.items():
        for template in ("k1", "k2", "k3", "k4"):
            assert frame.schema[f"{template}_{name}"] == dtype
    assert not [name for name in frame.columns if name.startswith("_")]


# ── What really occurs ──────────────────────────────────────────────────────────────────────────


def reasons_of(frame: pl.DataFrame) -> set[Reason | None]:
    steps = frame["market_step"].unique().to_list()
    return {None if step == PASSED else LADDER[step] for step in steps}


def setups_of(frame: pl.DataFrame) -> dict[str, int]:
    names = [template.id.lower() for template in RULES.strategies.templates]
    return {name: int((frame[f"{name}_side"] != 0).sum()) for name in names}


def test_generated_sessions_reach_the_reasons_of_a_clean_market() -> None:
    sessions = sessions_between(date(2024, 1, 2), date(2024, 12, 31), RULES.session)
    bars = generate_bars(sessions, 7, RULES.instrument).bars
    frame = market_frame(contexts_of(bars, sessions), bars, RULES)

    entries = {
        name: frame.filter(
            "may_enter", pl.col(f"{name}_side") != 0, pl.col(f"{name}_reason").is_null()
        )
        for name in setups_of(frame)
    }

    # Bad data is planted by other tests. Friction is asked after tradability, which reads it too.
    elsewhere = {Reason.DVS_TOO_LOW, Reason.FRICTION_TOO_HIGH}
    assert reasons_of(frame) == {None, *MARKET_REASONS} - elsewhere
    assert all(found.height > 0 for found in entries.values()), entries


def test_real_sessions_have_setups_of_every_template_and_entries(real_bars_dir: Path) -> None:
    source = LeanSource(folder=real_bars_dir)
    first, last = source.date_range() or (date.min, date.max)
    sessions = sessions_between(first, last, RULES.session)
    raw = source.read("ES", first, last).with_columns(symbol=pl.lit(RULES.instrument.symbol))
    bars = check_bars(raw, RULES.instrument, sessions).bars
    contexts = contexts_of(bars, sessions)
    unfitted = market_frame(contexts, bars, RULES)
    dates = [session.session_date for session in sessions]
    beliefs = with_fit(
        RULES.beliefs, fit_beliefs(unfitted, RULES.beliefs), source="real", session_dates=dates
    )

    frame = market_frame(contexts, bars, replace(RULES, beliefs=beliefs))

    assert all(count > 0 for count in setups_of(frame).values()), setups_of(frame)
    assert frame["may_enter"].sum() >= 10
    assert reasons_of(frame) >= {
        None,
        Reason.MISSING_REQUIRED_SIGNAL,
        Reason.SESSION_WINDOW_BLOCK,
        Reason.VOL_SHOCK_LOCKOUT,
        Reason.STOP_EXCEEDS_RISK_BUDGET,
        Reason.BELIEF_TOO_LOW,
        Reason.EDGE_SCORE_BELOW_THETA,
        Reason.NO_CANDIDATE,
    }
