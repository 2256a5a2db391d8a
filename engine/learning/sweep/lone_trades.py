"""The memory of lone trades: each is played once for all the sets that would see the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.learning.sweep.lone_trade import Opening, play_alone
from engine.learning.sweep.tape import Tape, TapeSession
from engine.learning.sweep.terms import Played, Terms
from engine.rules import Rules

KNOWN_MAX: Final = 150_000
"""Bound of the memory, some 200 MB; beyond it all is forgotten and played again when asked for."""

Key = tuple[int, int, int]
"""Row of the entry, number of the template, target: the rest of a bracket is the row's."""


@dataclass(slots=True, kw_only=True)
class LoneTrades:
    """The trades played so far. `played` counts every play."""

    tape: Tape
    sessions: Sequence[TapeSession]
    rules: Rules
    played: int = 0
    _known: dict[Key, list[Played]] = field(default_factory=dict)
    _count: int = 0

    def known(self, key: Key, terms: Terms) -> Played | None:
        """The trade under these terms if it has been played; null if not."""
        first, second, third, fourth = terms
        for each in self._known.get(key, ()):  # Asked a million times: no call for each.
            low, high = each.low, each.high
            if (
                low[0] < first <= high[0]
                and low[1] < second <= high[1]
                and low[2] < third <= high[2]
                and low[3] < fourth <= high[3]
            ):
                return each
        return None

    def play(self, key: Key, opening: Opening, session: TapeSession, rules: Rules) -> Played | None:
        """Play a trade and keep it; null as `play_alone`."""
        self.played += 1
        fresh = play_alone(opening, key[0], self.tape, session, rules)
        if fresh is None:
            return None
        if self._count >= KNOWN_MAX:
            self._known.clear()
            self._count = 0
        self._known.setdefault(key, []).append(fresh)
        self._count += 1
        return fresh
