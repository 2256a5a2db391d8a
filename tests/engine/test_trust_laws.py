"""What trust is judged by and shown: an estimate that is right of a template whose truth is known.

Weighting a result by its own luck was the first design; it is planted here and seen to be wrong.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pytest
from replay_market import RULES

from contracts.schemas import validate
from engine.errors import SchemaError
from engine.learning.learning_state import LEARNING_COLUMNS, next_learning
from engine.learning.luck import PEER_COLUMNS, luck
from engine.learning.reliability import Result, Trigger, quarantine_trigger
from engine.learning.shadow_trades import SHADOW_COLUMNS

DAY = date(2025, 1, 2)
BELL = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)
LIVES = 200
LAW = RULES.learning.reliability


@dataclass(frozen=True)
class Truth:
    """A template that wins and loses always the same, so often."""

    win_rate: float
    win_r: float
    loss_r: float

    @property
    def mean_r(self) -> float:
        return self.win_rate * self.win_r + (1 - self.win_rate) * self.loss_r

    def drawn(self, seed: int, count: int) -> list[float]:
        won = np.random.default_rng(seed).uniform(size=count) < self.win_rate
        return [self.win_r if each else self.loss_r for each in won]


GOOD = Truth(0.42, 1.9, -1.1)
TRUTHS = (GOOD, Truth(0.50, 2.0, -1.06), Truth(0.70, 0.6, -1.1), Truth(0.30, 1.9, -1.1))


def traded(results: list[float]) -> pl.DataFrame:
    """A session's trades of K1 with what their luck is computed from."""
    rows = [
        {
            "template": "K1",
            "regime": "range",
            "phase": 2,
            "belief": 0.7,
            "closed_at": BELL + timedelta(minutes=number),
            "net_r": net_r,
            "net_usd": net_r * 50,
            "mae_ticks": 4.0,
            "stop_ticks": 10,
            "entry_slippage_ticks": 0.5,
        }
        for number, net_r in enumerate(results)
    ]
    return pl.DataFrame(rows, schema_overrides={"phase": pl.Int8()})


def judged(results: list[float]) -> dict[str, Any]:
    """The row of K1 after a night with these results."""
    night = next_learning(
        pl.DataFrame(schema=LEARNING_COLUMNS),
        traded(results),
        pl.DataFrame(schema=SHADOW_COLUMNS),
        DAY,
        RULES,
    )
    return night.state.filter(pl.col("trust").is_not_null(), template="K1").row(0, named=True)


def by_luck(truth: Truth, results: list[float]) -> dict[str, float]:
    """The same as the first design had it: each result by 1 less its distance from usual luck."""
    peers = [("K1", "range", 0.7, net_r, DAY) for net_r in truth.drawn(99, 500)]
    columns = ("template", "regime", "belief", "net_r", "session_date")
    compared = pl.DataFrame(peers, {name: PEER_COLUMNS[name] for name in columns}, orient="row")
    weight = 1 - 2 * (luck(traded(results), compared, RULES)["luck"] - 0.5).abs().to_numpy()
    net_r = np.array(results)
    return {
        "win_rate": float(np.average(net_r > 0, weights=weight)),
        "expectancy_r": float(np.average(net_r, weights=weight)),
    }


@cache
def lives(truth: Truth) -> list[list[float]]:
    return [truth.drawn(seed, LAW.window) for seed in range(LIVES)]


def is_right(truth: Truth, shown: list[dict[str, Any]]) -> bool:
    """Whether the lives together show the truth, within three standard errors."""
    draws = LIVES * LAW.window
    error = (truth.win_rate * (1 - truth.win_rate) / draws) ** 0.5
    rate = fmean(each["win_rate"] for each in shown)
    mean = fmean(each["expectancy_r"] for each in shown)
    return abs(rate - truth.win_rate) < 3 * error and abs(mean - truth.mean_r) < 3 * error * (
        truth.win_r - truth.loss_r
    )


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_is_shown_of_a_template_converges_on_its_truth(truth: Truth) -> None:
    shown = [judged(results) for results in lives(truth)]

    assert {each["results"] for each in shown} == {LAW.window}
    assert is_right(truth, shown)


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_weight_of_luck_planted_again_does_not(truth: Truth) -> None:
    shown = [by_luck(truth, results) for results in lives(truth)]

    assert not is_right(truth, shown)


def test_a_template_with_few_large_wins_reads_as_a_loser_by_its_luck() -> None:
    results = [GOOD.win_r] * 42 + [GOOD.loss_r] * 58

    planted = by_luck(GOOD, results)
    plain = judged(results[32:52])

    assert GOOD.mean_r == pytest.approx(0.16)
    assert planted["expectancy_r"] < -0.05
    assert (plain["win_rate"], plain["expectancy_r"]) == pytest.approx((0.5, 0.4))


def test_every_result_counts_as_much_as_any_other() -> None:
    results = GOOD.drawn(5, LAW.window)

    rows = [judged(list(np.roll(results, shift))) for shift in range(LAW.window)]

    assert {(each["wins"], each["win_rate"]) for each in rows} == {
        (rows[0]["wins"], rows[0]["wins"] / LAW.window)
    }
    assert [each["expectancy_r"] for each in rows] == pytest.approx([fmean(results)] * LAW.window)


def test_a_full_window_is_closed_for_what_it_came_to_and_for_nothing_else() -> None:
    def trigger(wins: int) -> Trigger | None:
        window = [GOOD.loss_r] * (LAW.window - wins) + [GOOD.win_r] * wins
        return quarantine_trigger([Result(session_date=DAY, net_r=each) for each in window], LAW)

    found = [trigger(wins) for wins in range(2, LAW.window + 1)]

    # Seven wins of twenty lose 0.05 R each; eight earn 0.10 R and reach the least share of wins.
    assert found == [Trigger.EXPECTANCY] * 6 + [None] * (LAW.window - 7)


def test_the_tables_refuse_a_share_of_wins_that_is_weighted() -> None:
    state = next_learning(
        pl.DataFrame(schema=LEARNING_COLUMNS),
        traded(GOOD.drawn(5, LAW.window)),
        pl.DataFrame(schema=SHADOW_COLUMNS),
        DAY,
        RULES,
    ).state

    assert validate("learning_state", state).equals(state)
    with pytest.raises(SchemaError, match="the win rate is the plain share of wins"):
        validate("learning_state", state.with_columns(pl.col("win_rate") * 0.58))
