"""The budget of questions for old bars that IB grants a client; beyond it they are refused."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

WINDOW_SECONDS: Final = 600.0
REQUESTS_PER_WINDOW: Final = 60
SAME_QUESTION_SECONDS: Final = 15.0
BURST_SECONDS: Final = 2.0
BURST_PER_CONTRACT: Final = 5
"""Six or more for one contract within two seconds are a violation."""


@dataclass(slots=True)
class PacingBudget:
    """Counts questions; time is an argument, in seconds of any clock that only goes forward."""

    _asked: deque[tuple[float, str, str]] = field(default_factory=deque)

    def wait_seconds(self, contract: str, question: str, now: float) -> float:
        """Seconds until this question may be asked; 0 means now.

        `question` is everything that makes two requests identical.
        """
        self._forget(now)
        waits = [0.0]
        waits += [
            at + SAME_QUESTION_SECONDS - now for at, _, asked in self._asked if asked == question
        ]
        if len(self._asked) >= REQUESTS_PER_WINDOW:
            waits.append(self._asked[-REQUESTS_PER_WINDOW][0] + WINDOW_SECONDS - now)
        same = [at for at, asked_contract, _ in self._asked if asked_contract == contract]
        if len(same) >= BURST_PER_CONTRACT:
            waits.append(same[-BURST_PER_CONTRACT] + BURST_SECONDS - now)
        return max(waits)

    def spend(self, contract: str, question: str, now: float) -> None:
        """Note that a question goes out now."""
        self._forget(now)
        self._asked.append((now, contract, question))

    def _forget(self, now: float) -> None:
        while self._asked and now - self._asked[0][0] >= WINDOW_SECONDS:
            self._asked.popleft()
