"""The way of price after each decision, as its planted cause makes it; ticks of profit from entry.

Column 0 of every array is the bar decided on, at whose close the trade is entered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.learning.attribution import Cause

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Random = np.random.Generator
Way = list[tuple[float, float]]

BARS: Final = 64
"""Bars after the decision: a trade of at most twenty, and what came after it."""

CALM: Final = 0.14
"""Deviation of a bar's close from its way, in stops; its wick is as long."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Prices and what the market said of itself; one row per trade, one column per bar.

    `cause` indexes `CAUSES`. `is_hindered` marks an execution failure by a refused order or a
    missing stop, which ends at bar `out_at`; another slips behind a stop moved to `locked_ticks`
    from bar `locked_from` on. Both are 0 elsewhere.
    """

    cause: Ints
    stop: Ints
    target: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    belief: Floats
    has_turned: Flags
    is_shock: Flags
    is_hindered: Flags
    out_at: Ints
    locked_from: Ints
    locked_ticks: Ints


CAUSES: Final = tuple(sorted(Cause))


def index_of(cause: Cause) -> int:
    """Number of a cause in `CAUSES`."""
    return CAUSES.index(cause)


def _earned_win(r: Random, goal: float) -> Way:
    return [(r.uniform(1, 3), r.uniform(-0.85, 0.3)), (r.uniform(5, 17), goal + 0.3)]


def _wrong_model(r: Random, _: float) -> Way:
    down = r.uniform(2, 9)
    return [(down, -1.3), (down + r.uniform(8, 40), r.uniform(-3.5, -1.2))]


def _wrong_timing(r: Random, goal: float) -> Way:
    down = r.uniform(2, 8)
    deep = down + r.uniform(2, 7)
    return [(down, -1.3), (deep, r.uniform(-3, -1.6)), (deep + r.uniform(6, 26), goal + 0.4)]


def _noise_stop(r: Random, goal: float) -> Way:
    down = r.uniform(1, 7)
    return [(down, r.uniform(-1.7, -1.1)), (down + r.uniform(3, 18), goal + 0.4)]


def _wrong_expression(r: Random, _: float) -> Way:
    up = r.uniform(3, 8)
    down = up + r.uniform(4, 9)
    return [(up, r.uniform(0.9, 1.2)), (down, -1.3), (down + r.uniform(5, 30), -2.5)]


def _regime_shift(r: Random, _: float) -> Way:
    turn = r.uniform(4, 9)
    return [(turn, r.uniform(-0.5, 0.5)), (turn + r.uniform(4, 9), -1.4), (60, -3.0)]


def _undecided(r: Random, _: float) -> Way:
    ends = r.uniform(-0.6, -0.3)
    return [(r.uniform(3, 8), r.uniform(0.3, 0.8)), (r.uniform(12, 20), ends), (60, ends - 0.5)]


def _hindered(r: Random, goal: float) -> Way:
    dip = r.uniform(3, 7)
    return [(dip, r.uniform(-0.6, -0.35)), (dip + r.uniform(4, 8), goal + 0.4), (60, goal)]


def _given_back(r: Random, _: float) -> Way:
    up = r.uniform(3, 7)
    return [(up, r.uniform(1.05, 1.2)), (up + r.uniform(2, 6), -0.2), (60, -1.5)]


_WAYS: Final[Mapping[Cause, tuple[Callable[[Random, float], Way], ...]]] = {
    Cause.EARNED_WIN: (_earned_win,),
    Cause.WRONG_MODEL: (_wrong_model,),
    Cause.WRONG_TIMING: (_wrong_timing,),
    Cause.NOISE_STOP: (_noise_stop,),
    Cause.WRONG_EXPRESSION: (_wrong_expression,),
    Cause.REGIME_SHIFT: (_regime_shift,),
    Cause.EVENT_SHOCK: (_undecided,),
    Cause.DATA_QUALITY: (_wrong_model, _undecided, _noise_stop, _earned_win),
    Cause.EXECUTION_FAILURE: (_hindered, _given_back),
    Cause.UNDETERMINED: (_undecided,),
}


def ways(count: int, random: Random) -> Ways:
    """As many trades, every cause as often."""
    cause = np.arange(count) % len(CAUSES)
    stop = random.integers(7, 13, count)
    goal = random.uniform(1.4, 2.0, count)
    target = np.round(stop * goal).astype(np.int64)
    close, is_hindered, turn = _closes(cause, goal, random)
    belief, has_turned = _mood(cause, turn, random)
    is_shock, close = _shocks(cause, close, random)
    ticks = np.round(close * stop[:, None]).astype(np.int64)
    opened = np.concatenate([ticks[:, :1], ticks[:, :-1]], axis=1)
    wick = np.round(np.abs(random.normal(0, CALM, (2, *close.shape))) * stop[:, None])
    wicks = wick.astype(np.int64)
    slips = (cause == index_of(Cause.EXECUTION_FAILURE)) & ~is_hindered
    return Ways(
        cause=cause,
        stop=stop,
        target=target,
        open=opened,
        high=np.maximum(opened, ticks) + wicks[0],
        low=np.minimum(opened, ticks) - wicks[1],
        close=ticks,
        belief=belief,
        has_turned=has_turned,
        is_shock=is_shock,
        is_hindered=is_hindered,
        out_at=np.where(is_hindered, turn, 0),
        locked_from=np.where(slips, np.argmax(close >= 0.8, axis=1), 0),
        locked_ticks=np.where(slips, random.integers(2, 5, count), 0),
    )


def _closes(cause: Ints, goal: Floats, random: Random) -> tuple[Floats, Flags, Ints]:
    """Closes in stops along each way, whether it was hindered, and the bar of its first turn."""
    count = cause.size
    bars = np.arange(BARS + 1)
    close = np.empty((count, BARS + 1))
    is_hindered, turn = np.zeros(count, np.bool_), np.zeros(count, np.int64)
    for row in range(count):
        choices = _WAYS[CAUSES[cause[row]]]
        chosen = choices[int(random.integers(len(choices)))]
        points = [(0.0, 0.0), *chosen(random, goal[row])]
        close[row] = np.interp(bars, *np.transpose(points))
        is_hindered[row] = chosen is _hindered
        turn[row] = round(points[1][0])
    noise = random.normal(0, CALM, close.shape)
    noise[:, 0] = 0
    return close + noise, is_hindered, turn


def _mood(cause: Ints, turn: Ints, random: Random) -> tuple[Floats, Flags]:
    """Belief and whether the regime has turned: both about when price does at a shift."""
    count = cause.size
    bars = np.arange(BARS + 1)[None, :]
    turns_at = np.maximum(turn[:, None] + random.integers(-2, 2, (count, 1)), 1)
    is_shift = (cause == index_of(Cause.REGIME_SHIFT))[:, None]
    loses = np.where(is_shift, random.uniform(0.07, 0.2, (count, 1)), 0.004)
    noise = random.normal(0, 0.01, (count, BARS + 1))
    belief = 0.72 - loses * np.maximum(bars - turns_at, 0) + noise
    turned = is_shift | (random.random((count, 1)) < 0.2)
    return np.clip(belief, 0.05, 0.95), turned & (bars >= turns_at)


def _shocks(cause: Ints, close: Floats, random: Random) -> tuple[Flags, Floats]:
    """A planted fall in one bar; in a fifth of the others a jump in our favour on its first bar."""
    count = cause.size
    bars = np.arange(BARS + 1)[None, :]
    is_planted = cause == index_of(Cause.EVENT_SHOCK)
    at = np.where(is_planted, random.integers(1, 7, count), 1)[:, None]
    falls = np.where(is_planted, random.uniform(1.2, 3.0, count), 0)[:, None]
    is_kind = ~is_planted & (close[:, 1] > 0.1) & (random.random(count) < 0.5)
    is_shock = (bars == at) & (is_planted | is_kind)[:, None]
    return is_shock, close - falls * (bars >= at)
