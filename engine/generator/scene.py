"""Writing on the tape: where a script stands, what it sees of the past, how it moves the path."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.generator.days import Flags, Floats, Ints
from engine.generator.tape import Tape

_EXTREME_BARS: Final = 60
_CALM: Final = 0.7  # Share of a minute's own noise that is left inside a script.


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a kind is about to be written: sessions, first minutes, and the draws of the slot."""

    tape: Tape
    rows: Ints
    start: Ints
    strength: Floats
    luck: Floats
    size: Floats
    coin: Floats
    history_bars: int
    slot_end: int

    def only(self, chosen: Flags) -> "Scene":
        """The same scene for some of its sessions."""
        return Scene(
            tape=self.tape,
            rows=self.rows[chosen],
            start=self.start[chosen],
            strength=self.strength[chosen],
            luck=self.luck[chosen],
            size=self.size[chosen],
            coin=self.coin[chosen],
            history_bars=self.history_bars,
            slot_end=self.slot_end,
        )

    def columns(self, since: Ints, count: int) -> tuple[Ints, Ints]:
        """Index of `count` minutes from `since` on, per session."""
        return self.rows[:, None], since[:, None] + np.arange(count)

    def level(self, minute: Ints) -> Floats:
        """Level before the minute."""
        here: Floats = self.tape.path[self.rows, minute]
        return here

    def range_ticks(self, minute: Ints) -> Floats:
        """Mean true range of the `history_bars` minutes before, in ticks; at least 2."""
        count = self.history_bars
        block = self.tape.bars(*self.columns(minute - count, count))
        before = np.concatenate([block.open[:, :1], block.close[:, :-1]], axis=1)
        ranges = np.maximum(block.high, before) - np.minimum(block.low, before)
        usual: Floats = np.maximum(ranges.mean(axis=1), 2.0)
        return usual

    def extreme(self, minute: Ints, side: Ints) -> Floats:
        """Highest high (side +1) or lowest low (side −1) of the 60 minutes before."""
        block = self.tape.bars(*self.columns(minute - _EXTREME_BARS, _EXTREME_BARS))
        highest, lowest = block.high.max(axis=1), block.low.min(axis=1)
        chosen: Floats = np.where(side > 0, highest, lowest).astype(np.float64)
        return chosen

    def move(self, since: Ints, count: int, distance: Floats, calm: float = _CALM) -> Ints:
        """Write a drift of `distance` ticks plus damped noise; the minute after."""
        noise = self._noise(since, count) * calm
        self._write(since, np.cumsum(noise + distance[:, None] / count, axis=1))
        return since + count

    def reach(self, since: Ints, count: int, level: Floats, calm: float = _CALM) -> Ints:
        """Write damped noise that ends exactly at a level; the minute after."""
        walk = np.cumsum(self._noise(since, count) * calm, axis=1)
        missing = level - self.level(since) - walk[:, -1]
        self._write(since, walk + missing[:, None] * np.arange(1, count + 1) / count)
        return since + count

    def hover(self, since: Ints, count: int) -> Ints:
        """Write independent noise around the present level; the minute after."""
        self._write(since, self._noise(since, count) * 0.8)
        return since + count

    def _noise(self, since: Ints, count: int) -> Floats:
        at = self.columns(since, count)
        fresh: Floats = self.tape.deviation[at] * self.tape.draws.normals[:, 0][at]
        return fresh

    def _write(self, since: Ints, walk: Floats) -> None:
        tape, count = self.tape, walk.shape[1]
        start = self.level(since)
        shift = start + walk[:, -1] - self.level(since + count)
        later = np.arange(tape.path.shape[1]) > (since + count)[:, None]
        tape.path[self.rows] += np.where(later, shift[:, None], 0.0)
        rows, columns = self.columns(since, count)
        tape.path[rows, columns + 1] = start[:, None] + walk
