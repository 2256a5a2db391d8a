"""Whether beliefs come true as often as they say, and a map that corrects them once it has earned
it.

A forecast is one template, side and bar: its belief, the probability the desk would have used, and
whether the target was reached. Bars of one session share their luck, so every interval comes from
drawing whole sessions again; and a map is only ever judged on sessions after those of its fit.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import InputRefused
from engine.learning.belief_map import Rising, knots, whole_map
from engine.odds import BeliefMap, Floats
from engine.rules import CalibrationRules

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
class Calibration:
    """How one template's forecasts on one side have done up to a session.

    Scores are Brier scores: the mean squared error of a probability, less is better. `base` is the
    score of always saying the share of wins known before; `ahead` scores are those on later
    sessions than the fit's, null before there are any. `is_earned` says the map beat the base
    there, on as many sessions as a fit needs: one lucky day proves nothing.
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
    if not forecasts["session_date"].is_sorted():
        forecasts = forecasts.sort("session_date", maintain_order=True)
    groups = forecasts.partition_by("template", "side", as_dict=True)
    return [
        _calibration(str(key[0]), int(key[1]), groups[key], rules, outcomes_min)
        for key in sorted(groups)
    ]


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
    rising = Rising.of(beliefs, wins)
    ahead = _ahead(rising, beliefs, wins, sessions, rules)
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
        belief_map=whole_map(rising, rules.knots_max) if is_enough else None,
        brier_map_ahead=None if ahead is None else ahead.brier_map,
        brier_base_ahead=None if ahead is None else ahead.brier_base,
        is_earned=is_enough and ahead is not None and ahead.has_won,
    )


@lru_cache(maxsize=8)
def _draws(sessions: int, resamples: int) -> Floats:
    """How often each session is drawn in each resample. Shape: resamples, sessions."""
    generator = np.random.default_rng(_SEED)
    share = np.full(sessions, 1.0 / sessions)
    drawn: Floats = generator.multinomial(sessions, share, size=resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


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


class _Ahead(NamedTuple):
    """Scores of the map and of the base rate on sessions after their fit, and whether it won."""

    brier_map: float
    brier_base: float
    has_won: bool


def _ahead(
    rising: Rising,
    beliefs: Floats,
    wins: Floats,
    sessions: npt.NDArray[np.int64],
    rules: CalibrationRules,
) -> _Ahead | None:
    """How the map does on sessions it has not seen; null before there are any.

    Refitted every few sessions on all before. The map has won when the interval of its advantage,
    over draws of the sessions ahead, lies above zero.
    """
    ends = np.searchsorted(sessions, np.arange(int(sessions[-1]) + 1), side="right")
    if ends.size <= rules.sessions_min:
        return None
    of_map, of_base = [], []
    for first in range(rules.sessions_min, ends.size, rules.refit_sessions):
        start = ends[first - 1]
        now = slice(start, ends[min(first + rules.refit_sessions, ends.size) - 1])
        is_past = (rising.order < start).astype(np.float64)
        fitted = knots(rising, is_past, rules.knots_max)
        of_map.append((np.interp(beliefs[now], *fitted) - wins[now]) ** 2)
        of_base.append((wins[:start].mean() - wins[now]) ** 2)
    starts = ends[rules.sessions_min - 1 : -1] - ends[rules.sessions_min - 1]
    squared = (np.concatenate(of_map), np.concatenate(of_base))
    by_session = [np.add.reduceat(errors, starts) for errors in squared]
    drawn = _draws(starts.size, rules.resamples) @ (by_session[1] - by_session[0])
    tail = (1.0 - rules.confidence) / 2
    return _Ahead(
        brier_map=float(squared[0].mean()),
        brier_base=float(squared[1].mean()),
        has_won=starts.size >= rules.sessions_min and bool(np.quantile(drawn, tail) > 0),
    )
