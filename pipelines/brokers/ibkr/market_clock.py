"""The broker's time: our own clock corrected by its answers, or what the market was last told."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

ANSWER_RESOLUTION: Final = timedelta(seconds=1)


class ClockKind(StrEnum):
    """LOCAL for a real broker; TOLD for a simulated gateway that plays at a speed of its own."""

    LOCAL = "local"
    TOLD = "told"


class MarketClock:
    """Instants in UTC. A TOLD clock stands still between messages, and neither ever goes back."""

    def __init__(self, kind: ClockKind) -> None:
        self.kind = kind
        self.offset = timedelta(0)
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._is_answered = False

    def now(self) -> datetime:
        """The present at the broker, as far as it is known; our own clock before it was told."""
        local = datetime.now(UTC)
        if self.kind is ClockKind.TOLD:
            return self._latest if self._latest.year > 1 else local
        if not self._is_answered:
            return local
        self._latest = max(self._latest, local + self.offset)
        return self._latest

    def told(self, at: datetime) -> None:
        """Hear an instant of the market: the end of a bar, or when something happened."""
        if self.kind is ClockKind.TOLD:
            self._latest = max(self._latest, at)

    def answered(self, at: datetime) -> None:
        """Hear the broker's clock, in whole seconds; what a second cannot tell is no offset."""
        self.told(at)
        self._is_answered = True
        middle = at + ANSWER_RESOLUTION / 2
        offset = middle - datetime.now(UTC)
        self.offset = offset if abs(offset) > ANSWER_RESOLUTION else timedelta(0)
