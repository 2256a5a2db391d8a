"""The path of every session side by side, and how a path becomes bars.

All arrays are (sessions, minutes). Randomness is drawn once per session, in a fixed order, from a
generator keyed by seed and date; everything after that is arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from engine.generator.days import FULL_SESSION_MINUTES, DayLevels, Floats, Ints, checked_seed

EPISODE_SLOTS: Final = 6
DRAWS_PER_SLOT: Final = 8

_SPEED_MEMORY: Final = 0.9
_SPEED_SPREAD: Final = 0.18  # Slow changes of pace inside a session.
_JUMP_SPREAD: Final = 0.20  # Fast ones: together they give the tails of one-minute returns.
_EXCURSION_SHARE: Final = (
    0.99  # A traded path turns at a tick; a continuous one reaches a little further.
)
_MEAN_RANGE: Final = 1.6  # Of a bar, in units of its deviation.
_VOLUME_PER_MINUTE: Final = 2_000.0
_VOLUME_PER_RANGE: Final = 1.3
_VOLUME_MEMORY: Final = 0.65
_VOLUME_SPREAD: Final = 0.42
_CONTRACTS_PER_TRADE: Final = 1.8
_WIDE_SPREAD_SHARE: Final = 0.012
_THIN_BOOK_SHARE: Final = 0.0006  # Two ticks wider still, about once in four sessions.


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Standard normals (3) and uniforms (6) per minute, and uniforms per episode slot."""

    normals: Floats
    uniforms: Floats
    slots: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Bars of a block of minutes, in ticks; quotes are those at the close."""

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    bid: Ints
    ask: Ints


def draw(seed: int, dates: Sequence[date]) -> Draws:
    """Everything random about the minutes of each date, from a generator of its own."""
    normals = np.empty((len(dates), 3, FULL_SESSION_MINUTES))
    uniforms = np.empty((len(dates), 6, FULL_SESSION_MINUTES))
    slots = np.empty((len(dates), EPISODE_SLOTS, DRAWS_PER_SLOT))
    for row, day in enumerate(dates):
        key = np.random.SeedSequence((checked_seed(seed), day.toordinal()))
        source = np.random.Generator(np.random.PCG64(key))
        source.standard_normal(out=normals[row])
        source.random(out=uniforms[row])
        source.random(out=slots[row])
    return Draws(normals=normals, uniforms=uniforms, slots=slots)


class Tape:
    """A mutable path per session, on which episodes are written before it is read as bars.

    `path[:, t]` is the level before minute t, relative to the base, in ticks. Scripts may also set
    how far a bar reaches beyond its body (`reach_up`, `reach_down`), its extra log volume
    (`effort`) and its extra spread.
    """

    def __init__(self, days: DayLevels, draws: Draws, minutes: Ints) -> None:
        self.minutes = minutes
        self.draws = draws
        self.pace = np.stack([pace_profile(int(count)) for count in minutes])
        self.busy = np.stack([busy_profile(int(count)) for count in minutes])
        self.busy += days.busyness[:, None]
        self.busy += _VOLUME_SPREAD * persistent(draws.normals[:, 2], _VOLUME_MEMORY)
        self.deviation = self._minute_deviation(days)
        self.path = self._bridged_path(days)
        self.effort = np.zeros_like(self.deviation)
        self.extra_spread = np.zeros(self.deviation.shape, dtype=np.int64)
        self.reach_up = np.full_like(self.deviation, np.nan)
        self.reach_down = np.full_like(self.deviation, np.nan)

    def _minute_deviation(self, days: DayLevels) -> Floats:
        """Deviation of each minute's move, in ticks: by time of day, lasting and brief noise."""
        slow = persistent(self.draws.normals[:, 1], _SPEED_MEMORY)
        sudden = 4 * self.draws.uniforms[:, 5] - 2  # Uniform of variance 4/3: bounded on purpose.
        log_pace = _SPEED_SPREAD * slow + _JUMP_SPREAD * sudden * 0.866
        unit = np.exp(log_pace - _SPEED_SPREAD**2 - _JUMP_SPREAD**2)
        scaled: Floats = days.minute_deviation_ticks[:, None] * self.pace * unit
        return scaled

    def _bridged_path(self, days: DayLevels) -> Floats:
        """A random walk from the day's open to its close; a half day covers its minutes' part."""
        inside = np.arange(FULL_SESSION_MINUTES) < self.minutes[:, None]
        variance = np.where(inside, self.deviation**2, 0.0)
        moves = np.where(inside, self.deviation * self.draws.normals[:, 0], 0.0)
        covered = np.sqrt(np.where(inside, self.pace**2, 0.0).sum(axis=1) / FULL_SESSION_MINUTES)
        wanted = (days.close_ticks - days.open_ticks) * covered
        share = variance / variance.sum(axis=1, keepdims=True)
        moves += share * (wanted - moves.sum(axis=1))[:, None]
        path = np.empty((len(moves), FULL_SESSION_MINUTES + 1))
        path[:, 0] = days.open_ticks
        np.cumsum(moves, axis=1, out=path[:, 1:])
        path[:, 1:] += path[:, :1]
        return path

    def bars(self, rows: Ints | slice, columns: Ints | slice) -> Block:
        """The bars of a block of minutes, as any index of (sessions, minutes) selects it."""
        at = (rows, columns)
        before, after = self.path[:, :-1][at], self.path[:, 1:][at]
        uniforms = [self.draws.uniforms[:, place][at] for place in range(5)]
        variance, move = self.deviation[at] ** 2, np.abs(after - before)
        reach = [
            np.where(np.isnan(scripted), _reach(move, variance, uniform), scripted)
            for scripted, uniform in (
                (self.reach_up[at], uniforms[0]),
                (self.reach_down[at], uniforms[1]),
            )
        ]
        open_, close = np.floor(before + uniforms[2]), np.floor(after + uniforms[3])
        high = np.maximum(np.rint(np.maximum(before, after) + reach[0]), np.maximum(open_, close))
        low = np.minimum(np.rint(np.minimum(before, after) - reach[1]), np.minimum(open_, close))
        spread = 1 + (uniforms[4] < _WIDE_SPREAD_SHARE * self.pace[at]) + self.extra_spread[at]
        spread += 2 * (uniforms[4] < _THIN_BOOK_SHARE * self.pace[at])
        bid = np.where(
            close > after, close - spread, close
        )  # Rounded up: the last trade was at the ask.
        whole = [values.astype(np.int64) for values in (open_, high, low, close, bid, bid + spread)]
        return Block(
            open=whole[0], high=whole[1], low=whole[2], close=whole[3], bid=whole[4], ask=whole[5]
        )

    def volumes(self, rows: Ints | slice, columns: Ints | slice, block: Block) -> tuple[Ints, Ints]:
        """Volume and trades of the bars of a block; more when fast, early, late or scripted."""
        at = (rows, columns)
        ranges = (block.high - block.low + 1.0) / (_MEAN_RANGE * self.deviation[at] + 1.0)
        log_volume = self.busy[at] + self.effort[at] + _VOLUME_PER_RANGE * np.log(ranges)
        volume = np.maximum(1, np.rint(_VOLUME_PER_MINUTE * np.exp(log_volume))).astype(np.int64)
        size = _CONTRACTS_PER_TRADE * (0.8 + 0.4 * self.draws.uniforms[:, 4][at])
        return volume, np.maximum(1, np.rint(volume / size)).astype(np.int64)


def pace_profile(minutes: int) -> Floats:
    """How fast each minute is: the open most, lunch least; mean square 1 over a full session."""
    full = _pace(FULL_SESSION_MINUTES)
    scaled: Floats = _pace(minutes) / np.sqrt((full * full).mean())
    return scaled


def _pace(minutes: int) -> Floats:
    minute = np.arange(FULL_SESSION_MINUTES)
    left = np.maximum(minutes - 1 - minute, 0)
    shape: Floats = (
        1
        + 0.70 * np.exp(-minute / 28)
        - 0.22 * np.exp(-(((minute - 180) / 70) ** 2))
        + 0.35 * np.exp(-left / 18)
    )
    return shape


def busy_profile(minutes: int) -> Floats:
    """Log volume of each minute relative to a quiet one: the same U, with a burst at the bell."""
    minute = np.arange(FULL_SESSION_MINUTES)
    left = np.maximum(minutes - 1 - minute, 0)
    shape: Floats = (
        0.95 * np.exp(-minute / 45)
        - 0.35 * np.exp(-(((minute - 190) / 75) ** 2))
        + 0.7 * np.exp(-left / 20)
        + np.where(left == 0, 0.9, 0.0)
    )
    return shape


def persistent(shocks: Floats, memory: float) -> Floats:
    """Autoregressive series of unit variance along each row."""
    fresh = float(np.sqrt(1 - memory * memory))
    by_minute = np.array(shocks.T)
    for minute in range(1, len(by_minute)):
        by_minute[minute] = memory * by_minute[minute - 1] + fresh * by_minute[minute]
    return by_minute.T


def _reach(move: Floats, variance: Floats, uniform: Floats) -> Floats:
    """How far a Brownian path goes beyond its move: the exact law of the bridge's maximum."""
    furthest = np.sqrt(move * move - 2 * variance * np.log1p(-uniform))
    beyond: Floats = _EXCURSION_SHARE * (furthest - move) / 2
    return beyond
