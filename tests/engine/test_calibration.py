"""Whether the calibration finds a truth that is known, and trusts its map only when it should."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import load_rules
from engine.errors import InputRefused
from engine.learning.belief_map import belief_map
from engine.learning.calibration import Calibration, calibrate
from engine.odds import BeliefMap
from engine.rules import CalibrationRules

RULES = load_rules("MES").learning.calibration


def forecasts(
    seed: int,
    truth: object,
    *,
    sessions: int = 60,
    per_session: int = 100,
    shared: float = 0.0,
) -> pl.DataFrame:
    """Beliefs drawn evenly; wins with probability `truth(belief)`, moved a session at once."""
    random = np.random.default_rng(seed)
    belief = random.uniform(0.2, 0.8, sessions * per_session)
    session = np.repeat(np.arange(sessions), per_session)
    luck = np.repeat(random.normal(0.0, shared, sessions), per_session) if shared else 0.0
    chance = np.clip(truth(belief) + luck, 0.0, 1.0)  # type: ignore[operator]
    first = date(2025, 1, 2)
    return pl.DataFrame(
        {
            "session_date": [first + timedelta(days=int(day)) for day in session],
            "template": "K1",
            "side": pl.Series([1] * belief.size, dtype=pl.Int8),
            "belief": belief,
            "p_win": np.clip(0.4 + 0.5 * (belief - 0.35), 0.02, 0.90),
            "is_win": random.uniform(size=belief.size) < chance,
        }
    )


def calibrated(rows: pl.DataFrame, rules: CalibrationRules = RULES) -> Calibration:
    return calibrate(rows, rules, outcomes_min=200)[0]


def rising(belief: np.ndarray) -> np.ndarray:
    return 0.1 + 0.6 * belief**2


def flat(belief: np.ndarray) -> np.ndarray:
    return np.full_like(belief, 0.33)


def test_a_known_truth_lies_within_the_stated_intervals_as_often_as_stated() -> None:
    held, told = 0, 0
    for seed in range(20):
        bins = calibrated(forecasts(seed, rising)).bins
        middle = (bins["belief_from"] + bins["belief_until"]).to_numpy() / 2
        truth = 0.1 + 0.6 * (middle**2 + 0.1**2 / 12)
        low, high = bins["win_rate_low"].to_numpy(), bins["win_rate_high"].to_numpy()
        held += int(((low <= truth) & (truth <= high)).sum())
        told += bins.height

    assert 0.88 <= held / told <= 0.99


def test_intervals_of_single_bars_are_too_narrow_when_sessions_share_their_luck() -> None:
    rows = forecasts(3, flat, shared=0.15)
    lone = rows.with_columns(
        session_date=pl.date(2000, 1, 1) + pl.duration(days=pl.int_range(pl.len()))
    )

    by_session = calibrated(rows).bins
    by_bar = calibrated(lone, RULES_OF_BARS).bins

    wide = (by_session["win_rate_high"] - by_session["win_rate_low"]).mean()
    narrow = (by_bar["win_rate_high"] - by_bar["win_rate_low"]).mean()
    assert isinstance(wide, float)
    assert isinstance(narrow, float)
    assert wide > 1.5 * narrow


RULES_OF_BARS = replace(RULES, sessions_min=5_000, refit_sessions=1_000)


def test_the_map_recovers_the_truth_and_earns_its_use() -> None:
    found = calibrated(forecasts(1, rising, sessions=120))

    assert found.is_earned
    assert found.belief_map is not None
    at = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    assert found.belief_map.at(at) == pytest.approx(rising(at), abs=0.05)
    assert found.brier_map_ahead is not None
    assert found.brier_base_ahead is not None
    assert found.brier_map_ahead < found.brier_base_ahead


def test_beliefs_that_say_nothing_earn_no_map() -> None:
    earned = [calibrated(forecasts(seed, flat)).is_earned for seed in range(40)]

    assert sum(earned) <= 2


def test_a_map_judged_on_its_own_sessions_would_have_seemed_to_be_worth_it() -> None:
    rows = forecasts(5, flat, sessions=30, per_session=20)
    wins = rows["is_win"].cast(pl.Float64).to_numpy()
    beliefs = rows["belief"].to_numpy()

    flattered = np.mean((belief_map(beliefs, wins, 12).at(beliefs) - wins) ** 2)

    assert flattered < np.mean((wins.mean() - wins) ** 2)
    assert not calibrated(rows).is_earned


def test_later_sessions_change_nothing_of_what_was_known_before() -> None:
    rows = forecasts(2, rising)
    cut = rows["session_date"].unique().sort()[39]
    earlier = rows.filter(pl.col("session_date") <= cut)

    known = calibrated(earlier)

    assert known.through == cut
    assert known.outcomes == earlier.height
    assert known.brier == calibrated(earlier.sample(fraction=1.0, shuffle=True, seed=9)).brier


def test_too_few_outcomes_or_sessions_have_no_map() -> None:
    few = calibrated(forecasts(1, rising, sessions=25, per_session=7))
    young = calibrated(forecasts(1, rising, sessions=19, per_session=100))

    assert few.belief_map is None
    assert not few.is_earned
    assert young.belief_map is None
    assert young.brier_map_ahead is None


def test_scores_are_what_their_names_say() -> None:
    rows = forecasts(7, rising, sessions=30)
    wins, said = rows["is_win"].cast(pl.Float64).to_numpy(), rows["p_win"].to_numpy()

    found = calibrated(rows)

    assert found.brier.value == pytest.approx(np.mean((said - wins) ** 2))
    assert found.base_rate == pytest.approx(wins.mean())
    gaps = rows.group_by((pl.col("belief") * 10).floor()).agg(
        gap=(pl.col("is_win").mean() - pl.col("p_win").mean()).abs() * pl.len()
    )
    assert found.calibration_error.value == pytest.approx(gaps["gap"].sum() / rows.height)
    assert found.brier.low is not None
    assert found.brier.high is not None
    assert found.brier.low < found.brier.value < found.brier.high


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 300),
    knots=st.integers(1, 20),
)
def test_a_map_never_falls_and_stays_a_probability(seed: int, count: int, knots: int) -> None:
    random = np.random.default_rng(seed)
    beliefs = np.round(random.uniform(size=count), 2)

    fitted = belief_map(beliefs, random.integers(0, 2, count).astype(np.float64), knots)

    over = fitted.at(np.linspace(0, 1, 101))
    assert (np.diff(over) >= 0).all()
    assert over.min() >= 0.0
    assert over.max() <= 1.0
    assert len(fitted.beliefs) <= knots


@pytest.mark.parametrize(
    ("beliefs", "p_win"),
    [((), ()), ((0.1, 0.1), (0.2, 0.3)), ((0.1, 0.2), (0.3, 0.2)), ((0.1,), (0.2, 0.3))],
)
def test_a_map_that_is_no_function_or_falls_is_refused(
    beliefs: tuple[float, ...], p_win: tuple[float, ...]
) -> None:
    with pytest.raises(InputRefused, match="belief map: expected"):
        BeliefMap(beliefs=beliefs, p_win=p_win)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pl.col("belief") + 1, "belief between 0 and 1"),
        (pl.lit(None, pl.Float64).alias("p_win"), "no null in p_win"),
    ],
)
def test_what_is_no_forecast_is_refused_by_name(spoil: pl.Expr, said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        calibrate(forecasts(1, flat, sessions=2).with_columns(spoil), RULES, outcomes_min=200)


def test_templates_and_sides_are_calibrated_apart() -> None:
    rows = forecasts(1, rising, sessions=5)
    other = forecasts(2, flat, sessions=5).with_columns(
        template=pl.lit("K2"), side=pl.lit(-1, pl.Int8)
    )

    found = calibrate(pl.concat([other, rows]), RULES, outcomes_min=200)

    assert [(each.template, each.side) for each in found] == [("K1", 1), ("K2", -1)]
    assert found[0].brier == calibrated(rows).brier


def test_a_map_that_won_on_a_few_sessions_ahead_has_not_been_earned_yet() -> None:
    young = [
        calibrated(forecasts(seed, rising, sessions=RULES.sessions_min + 1)) for seed in range(8)
    ]
    judged = calibrated(forecasts(1, rising, sessions=2 * RULES.sessions_min, per_session=100))

    lucky = [each for each in young if (each.brier_map_ahead or 1) < (each.brier_base_ahead or 0)]
    assert len(lucky) > 2
    assert not any(each.is_earned for each in young)
    assert judged.is_earned


@pytest.mark.parametrize("belief", [0.1, 1 / 3, 0.62, 1.0])
def test_beliefs_that_are_all_the_same_have_one_probability_their_share_of_wins(
    belief: float,
) -> None:
    rows = forecasts(4, flat, sessions=60).with_columns(belief=pl.lit(belief))
    wins = rows["is_win"].cast(pl.Float64).to_numpy()

    found = calibrated(rows)

    assert found.belief_map == BeliefMap(beliefs=(belief,), p_win=(wins.mean(),))
    assert found.brier_map_ahead == found.brier_base_ahead
    assert not found.is_earned


def test_wins_that_came_late_do_not_make_equal_beliefs_rise() -> None:
    wins = np.repeat([0.0, 1.0], [360, 240])

    same = belief_map(np.full(600, 0.35), wins, 12)
    two = belief_map(np.repeat([0.35, 0.6], 300), np.tile(np.repeat([0.0, 1.0], 150), 2), 12)

    assert same == BeliefMap(beliefs=(0.35,), p_win=(0.4,))
    assert two == BeliefMap(beliefs=(0.35, 0.6), p_win=(0.5, 0.5))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 300), beliefs=st.integers(1, 6))
def test_a_map_of_few_beliefs_does_not_depend_on_the_order_of_time(
    seed: int, count: int, beliefs: int
) -> None:
    random = np.random.default_rng(seed)
    known = random.integers(0, beliefs, count) / 10
    wins = random.integers(0, 2, count).astype(np.float64)
    shuffled = random.permutation(count)

    first = belief_map(known, wins, 12)
    other = belief_map(known[shuffled], wins[shuffled], 12)

    assert other == first


def test_a_map_that_takes_time_for_belief_is_seen() -> None:
    wins = np.repeat([0.0, 1.0], [360, 240])
    told_apart = np.linspace(0.35, 0.35 + 1e-9, 600)

    in_order_of_time = belief_map(told_apart, wins, 12)

    assert in_order_of_time.at_one(0.35) == 0.0
