"""Whether beliefs come true as often as they say, and a map that corrects them once it has earned
it.

A forecast is one template, side and bar: its belief, the probability the desk would have used, and
whether the target was reached. Bars of one session share their luck, so every interval comes from
drawing whole sessions again; and a map is only ever judged on sessions after those of its fit.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import InputRefused
from engine.rules import CalibrationRules

Floats = npt.NDArray[np.float64]

FORECAST_COLUMNS: Final[dict[str, pl.DataType]] = {
    "session_date": pl.Date(),
    "template": pl.String(),
    "side": pl.Int8(),
    "belief": pl.Float64(),
    "p_win": pl.Float64(),
    "is_win": pl.Boolean(),
}
"""Columns of forecasts; rows with an unknown belief or outcome are not forecasts."""

_SEED: Final = 20_131_008
"""Of the draws. It is part of the recipe: the same forecasts give the same intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with the interval that holds it at the contract's confidence; null if unknown."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefMap:
    """Probability of the target as a rising, piecewise linear function of the belief.

    Flat outside the outermost knots. `beliefs` rise strictly, `p_win` never falls.
    """

    beliefs: tuple[float, ...]
    p_win: tuple[float, ...]

    def __post_init__(self) -> None:
        rises = all(b > a for a, b in zip(self.beliefs, self.beliefs[1:], strict=False))
        never_falls = all(b >= a for a, b in zip(self.p_win, self.p_win[1:], strict=False))
        if len(self.beliefs) != len(self.p_win) or not self.beliefs or not rises or not never_falls:
            raise InputRefused(
                "belief map: expected as many probabilities as rising beliefs, never falling; "
                f"got {self.beliefs} and {self.p_win}"
            )

    def at(self, belief: Floats) -> Floats:
        """The probability for each belief."""
        return np.interp(belief, self.beliefs, self.p_win)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How one template's forecasts on one side have done up to a session.

    Scores are Brier scores: the mean squared error of a probability, less is better. `base` is the
    score of always saying the share of wins known before; `ahead` scores are those on later
    sessions than the fit's, null before there are any. `is_earned` says the map beat the base
    there.
    """

    template: str
    side: int
    through: date
    outcomes: int
    sessions: int
    base_rate: float
    p_win_mean: float
    brier: Estimate
    brier_base: float
    calibration_error: Estimate
    bins: pl.DataFrame
    belief_map: BeliefMap | None
    brier_map_ahead: float | None
    brier_base_ahead: float | None
    is_earned: bool


def calibrate(
    forecasts: pl.DataFrame, rules: CalibrationRules, *, outcomes_min: int
) -> list[Calibration]:
    """One `Calibration` per template and side of `FORECAST_COLUMNS`, in that order.

    Fewer outcomes than `outcomes_min` have no map. Raises `InputRefused` for probabilities outside
    0 to 1 or rows that are no forecasts.
    """
    _check(forecasts)
    groups = forecasts.sort("session_date", maintain_order=True).partition_by(
        "template", "side", as_dict=True
    )
    return [
        _calibration(str(key[0]), int(key[1]), groups[key], rules, outcomes_min)
        for key in sorted(groups)
    ]


def belief_map(beliefs: Floats, wins: Floats, knots_max: int) -> BeliefMap:
    """The rising function nearest to the wins, thinned to `knots_max` knots.

    Isotonic regression over equally filled groups of beliefs, so that a knot rests on many outcomes
    and no single lucky one at the edge makes a certainty.
    """
    order = np.argsort(beliefs, kind="stable")
    return _fitted(beliefs[order], wins[order], knots_max)


def _fitted(beliefs: Floats, wins: Floats, knots_max: int) -> BeliefMap:
    """The map of beliefs that rise already."""
    from scipy.optimize import isotonic_regression  # Dear to import, and only a night needs it.

    cuts = np.unique(np.linspace(0, beliefs.size, knots_max + 1).astype(np.int64))
    weight = np.diff(cuts).astype(np.float64)
    at = np.add.reduceat(beliefs, cuts[:-1]) / weight
    rate = np.add.reduceat(wins, cuts[:-1]) / weight
    rising = isotonic_regression(rate, weights=weight).x
    known, first = np.unique(at, return_index=True)
    return BeliefMap(
        beliefs=tuple(float(belief) for belief in known),
        p_win=tuple(float(p) for p in np.maximum.accumulate(rising[first])),
    )


def _check(forecasts: pl.DataFrame) -> None:
    missing = [name for name in FORECAST_COLUMNS if name not in forecasts.columns]
    if missing:
        raise InputRefused(f"forecasts: expected columns {list(FORECAST_COLUMNS)}, lacks {missing}")
    for name in FORECAST_COLUMNS:
        if forecasts[name].null_count():
            raise InputRefused(f"forecasts: expected no null in {name}; drop what is unknown")
    for name in ("belief", "p_win"):
        if not forecasts[name].is_between(0.0, 1.0).all():
            raise InputRefused(f"forecasts: expected {name} between 0 and 1")


def _calibration(
    template: str, side: int, forecasts: pl.DataFrame, rules: CalibrationRules, outcomes_min: int
) -> Calibration:
    beliefs, p_win = forecasts["belief"].to_numpy(), forecasts["p_win"].to_numpy()
    wins = forecasts["is_win"].cast(pl.Float64).to_numpy()
    sessions = forecasts["session_date"].rle_id().to_numpy().astype(np.int64)
    draws = _draws(int(sessions[-1]) + 1, rules.resamples)
    bins = np.minimum((beliefs * rules.bins).astype(np.int64), rules.bins - 1)
    sums = _Sums(bins, sessions, rules.bins, p_win, wins)
    ahead = _ahead(beliefs, wins, sessions, rules)
    is_enough = len(wins) >= outcomes_min and sums.sessions >= rules.sessions_min
    return Calibration(
        template=template,
        side=side,
        through=forecasts["session_date"][-1],
        outcomes=len(wins),
        sessions=sums.sessions,
        base_rate=float(wins.mean()),
        p_win_mean=float(p_win.mean()),
        brier=_estimate(sums.brier(), sums.brier(draws), rules),
        brier_base=float(np.mean((wins.mean() - wins) ** 2)),
        calibration_error=_estimate(sums.error(), sums.error(draws), rules),
        bins=_table(sums, draws, rules),
        belief_map=belief_map(beliefs, wins, rules.knots_max) if is_enough else None,
        brier_map_ahead=None if ahead is None else ahead[0],
        brier_base_ahead=None if ahead is None else ahead[1],
        is_earned=is_enough and ahead is not None and ahead[2],
    )


def _draws(sessions: int, resamples: int) -> Floats:
    """How often each session is drawn in each resample. Shape: resamples, sessions."""
    generator = np.random.default_rng(_SEED)
    share = np.full(sessions, 1.0 / sessions)
    return generator.multinomial(sessions, share, size=resamples).astype(np.float64)


class _Sums:
    """Counts, predicted and true wins and squared errors per session and bin of the belief."""

    def __init__(
        self,
        bins: npt.NDArray[np.int64],
        sessions: npt.NDArray[np.int64],
        bin_count: int,
        p_win: Floats,
        wins: Floats,
    ) -> None:
        self.sessions = int(sessions[-1]) + 1
        self.bin_count = bin_count
        cell = sessions * bin_count + bins
        self.count = self._per_cell(cell, np.ones_like(wins))
        self.predicted = self._per_cell(cell, p_win)
        self.won = self._per_cell(cell, wins)
        self.squared = self._per_cell(cell, (p_win - wins) ** 2)

    def _per_cell(self, cell: npt.NDArray[np.int64], amounts: Floats) -> Floats:
        size = self.sessions * self.bin_count
        summed: Floats = np.bincount(cell, amounts, size).astype(np.float64)
        return summed.reshape(self.sessions, self.bin_count)

    def brier(self, draws: Floats | None = None) -> Floats:
        """Mean squared error. Shape: draws, or one."""
        mean: Floats = _drawn(self.squared, draws).sum(axis=1) / _drawn(self.count, draws).sum(
            axis=1
        )
        return mean

    def error(self, draws: Floats | None = None) -> Floats:
        """Expected calibration error: how far the bins' wins are from what was said, on average."""
        gap = np.abs(_drawn(self.won, draws) - _drawn(self.predicted, draws))
        mean: Floats = gap.sum(axis=1) / _drawn(self.count, draws).sum(axis=1)
        return mean

    def win_rates(self, draws: Floats | None = None) -> Floats:
        """Share of wins per bin, not a number where a draw has none. Shape: draws, bins."""
        count = _drawn(self.count, draws)
        return np.divide(
            _drawn(self.won, draws), count, out=np.full_like(count, np.nan), where=count > 0
        )


def _drawn(sums: Floats, draws: Floats | None) -> Floats:
    return sums.sum(axis=0, keepdims=True) if draws is None else draws @ sums


def _estimate(value: Floats, drawn: Floats, rules: CalibrationRules) -> Estimate:
    tail = (1.0 - rules.confidence) / 2
    low, high = np.quantile(drawn, (tail, 1.0 - tail))
    return Estimate(value=float(value[0]), low=float(low), high=float(high))


def _table(sums: _Sums, draws: Floats, rules: CalibrationRules) -> pl.DataFrame:
    """One row per bin of the belief that holds a forecast."""
    tail = (1.0 - rules.confidence) / 2
    count, rates = sums.count.sum(axis=0), sums.win_rates(draws)
    held = np.flatnonzero(count)
    quantiles = np.nanquantile(rates[:, held], (tail, 1.0 - tail), axis=0)
    return pl.DataFrame(
        {
            "belief_from": held / rules.bins,
            "belief_until": (held + 1) / rules.bins,
            "outcomes": count[held].astype(np.int64),
            "p_win_mean": sums.predicted.sum(axis=0)[held] / count[held],
            "win_rate": sums.win_rates()[0][held],
            "win_rate_low": quantiles[0],
            "win_rate_high": quantiles[1],
        }
    )


def _ahead(
    beliefs: Floats, wins: Floats, sessions: npt.NDArray[np.int64], rules: CalibrationRules
) -> tuple[float, float, bool] | None:
    """Scores of the map and of the base rate on sessions after their fit, and whether it won.

    Refitted every few sessions on all before. The map has won when the interval of its advantage,
    over draws of the sessions ahead, lies above zero.
    """
    starts = np.searchsorted(sessions, np.arange(sessions[-1] + 2))
    order = np.argsort(beliefs, kind="stable")
    advantage, scored = [], []
    for first in range(rules.sessions_min, int(sessions[-1]) + 1, rules.refit_sessions):
        past = order[order < starts[first]]
        fitted = _fitted(beliefs[past], wins[past], rules.knots_max)
        base = wins[past].mean()
        for session in range(first, min(first + rules.refit_sessions, int(sessions[-1]) + 1)):
            now = slice(starts[session], starts[session + 1])
            of_map = np.sum((fitted.at(beliefs[now]) - wins[now]) ** 2)
            of_base = np.sum((base - wins[now]) ** 2)
            scored.append((of_map, of_base, float(now.stop - now.start)))
            advantage.append(of_base - of_map)
    if not scored:
        return None
    totals = np.array(scored)
    drawn = _draws(len(totals), rules.resamples) @ np.array(advantage)
    tail = (1.0 - rules.confidence) / 2
    count = totals[:, 2].sum()
    score, base_score = (float(totals[:, column].sum() / count) for column in (0, 1))
    return score, base_score, bool(np.quantile(drawn, tail) > 0)
