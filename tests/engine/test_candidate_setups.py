"""Setups: where their stop and target lie, and the score's formulas."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from types import SimpleNamespace

import pytest
from candidate_cases import FRIDAY, MONDAY, Bar, judged, judged_bar
from hypothesis import given
from hypothesis import strategies as st
from small_market import RULES

from engine.beliefs import SIDE_NAMES
from engine.candidates import SETUP_COLUMNS
from engine.strategies.registry import template
from engine.units import Side


@dataclass(frozen=True)
class _Quoted:
    """The bar of `candidate_cases` with its quotes, as a template reads it."""

    bid_ticks: int | None
    ask_ticks: int | None
    close_ticks: int = 20_000
    atr_14_ticks: float | None = 6.0
    closes_at: datetime = datetime(2024, 3, 12, 15, 0, tzinfo=UTC)

    def effective_belief(self, constraint: str, side: Side) -> float | None:
        return None


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

    assert (row["k2_side"], row["k2_stop_ticks"], row["k2_target_ticks"]) == (1, 10, 20)


def test_k3_puts_its_stop_two_ticks_behind_the_sweep() -> None:
    swept = {"sweep_reversal_score": -0.4, "sweep_extreme_ticks": 20_008, "f3_short_effective": 0.8}

    row = judged_bar({**swept, "vwap_z": 0.0})

    assert (row["k3_side"], row["k3_stop_ticks"], row["k3_target_ticks"]) == (-1, 11, 22)


@given(
    side=st.sampled_from(Side),
    depth=st.integers(0, 12),
    bid=st.none() | st.integers(19_985, 20_015),
    ask=st.none() | st.integers(19_985, 20_015),
    is_sweep=st.booleans(),
)
def test_the_stop_never_rests_nearer_than_two_ticks_beyond_the_extreme(
    side: Side, depth: int, bid: int | None, ask: int | None, is_sweep: bool
) -> None:
    name, event, constraint = (
        ("k3", "sweep_reversal_score", "f3") if is_sweep else ("k2", "failed_break", "f2")
    )
    extreme = "sweep_extreme_ticks" if is_sweep else "failed_break_extreme_ticks"
    reached = 20_000 - side * depth
    prefix = f"{constraint}_{SIDE_NAMES[side]}"
    seen: Bar = {event: float(side), extreme: reached, f"{prefix}_effective": 0.8}

    row = judged_bar({**seen, "vwap_z": 0.0, "bid_ticks": bid, "ask_ticks": ask})

    setup = SimpleNamespace(
        side=row[f"{name}_side"], stop_ticks=row[f"{name}_stop_ticks"], target_ticks=20
    )
    plan = template(name.upper(), RULES).plan_entry(_Quoted(bid, ask), setup, RULES)
    beyond = side * (reached - plan.stop_price_ticks)
    assert beyond >= 2
    assert beyond == 2 or setup.stop_ticks == RULES.strategies.stop_ticks_min


def test_a_failed_break_stays_a_setup_for_three_bars_of_its_session() -> None:
    failed = {"failed_break": 1.0, "failed_break_extreme_ticks": 19_993}
    bars = [{"session_key": 0, "minute": 250 + n, "session_bar": n} for n in range(6)]
    bars[1] |= failed
    bars += [{"session_key": 1, "session_bar": n} for n in range(2)]
    bars[5] |= failed

    frame = judged(*({"f2_long_effective": 0.8, **bar} for bar in bars))

    assert frame["k2_side"].to_list() == [0, 1, 1, 1, 0, 1, 0, 0]
    assert frame["k2_stop_ticks"].to_list() == [None, 10, 10, 10, None, 10, None, None]


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
        for setup in ("k1", "k2", "k3", "k4"):
            assert frame.schema[f"{setup}_{name}"] == dtype
    assert not [name for name in frame.columns if name.startswith("_")]
