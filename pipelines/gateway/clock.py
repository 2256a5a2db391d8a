"""Market time: it stands, jumps to what is told next, or runs with the wall clock."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from time import monotonic
from typing import Final, Self

from engine.errors import InputRefused

SPEED_MAX: Final = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Market seconds in a second of wall time; null: as fast as the clients keep up."""

    speed: float | None

    @classmethod
    def of(cls, words: str | float) -> Self:
        """`max`, or a number above 0 such as `1` or `60x`; raises `InputRefused` otherwise."""
        if words == SPEED_MAX:
            return cls(speed=None)
        try:
            speed = float(str(words).removesuffix("x"))
        except ValueError:
            speed = 0.0
        if not (isfinite(speed) and speed > 0):
            raise InputRefused(f"speed: expected max or a number above 0, such as 60, got {words}")
        return cls(speed=speed)


class MarketClock:
    """The time of one market, UTC; it never goes back and never passes what comes next.

    `wall` gives seconds that only grow. To be used inside one running event loop.
    """

    def __init__(self, at: datetime, pace: Pace, *, wall: Callable[[], float] = monotonic) -> None:
        self.pace = pace
        self._wall = wall
        self._at = self._next_at = at
        self._wall_at = wall()
        self._going = asyncio.Event()
        self._going.set()

    @property
    def is_paused(self) -> bool:
        return not self._going.is_set()

    def now(self) -> datetime:
        """The latest instant told at speed "max"; else what the wall clock makes of it."""
        if self.pace.speed is None or self.is_paused:
            return self._at
        gone = timedelta(seconds=(self._wall() - self._wall_at) * self.pace.speed)
        return min(self._at + gone, self._next_at)

    def jump(self, at: datetime) -> None:
        """Stand at a later instant at once, with nothing in between."""
        self._at, self._wall_at = max(at, self._at), self._wall()
        self._next_at = self._at

    async def reach(self, at: datetime) -> None:
        """Return when it is `at`, and not while paused."""
        await self._going.wait()
        if self.pace.speed is None:
            self.jump(at)
            return
        self._next_at = max(at, self._next_at)
        while (seconds := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(seconds / self.pace.speed)
            await self._going.wait()

    def pause(self) -> None:
        """Stand still after what is being told."""
        if not self.is_paused:
            self._at = self.now()
            self._going.clear()

    def go_on(self) -> None:
        """End a pause."""
        if self.is_paused:
            self._wall_at = self._wall()
            self._going.set()
