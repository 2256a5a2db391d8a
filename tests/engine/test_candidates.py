"""Candidates: the market's part of the ladder, one change at a time, and what really occurs."""

from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from candidate_cases import MARKET_REASONS, REFUSALS, Bar, judged, judged_bar, market_reason
from small_market import RULES, contexts_of

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.fitting import fit_beliefs, with_fit
from engine.generator import generate_bars
from engine.ladder import LADDER, PASSED, STEP, Reason
from engine.market import market_frame
from pipelines.sources.lean import LeanSource


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
