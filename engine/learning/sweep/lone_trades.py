"""The memory of lone trades: each is played once for all the sets that would see the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.learning.sweep.lone_trade import Opening, play_alone
from engine.learning.sweep.tape import Tape, TapeSession
from engine.learning.sweep.terms import Played, Terms
from engine.risk import worst_case_usd
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
    _worst: dict[tuple[int, int], int] = field(default_factory=dict)

    def known(self, key: Key, terms: Terms) -> Played | None:
        """The trade under these terms if it has been played; null if not."""
        for each in self._known.get(key, ()):
            if each.holds(terms):
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

    def worst_cents(self, place: int, stop_ticks: int, friction_ticks: float) -> int:
        """Worst case of a stop on a row in cents, which is rounded up to one."""
        known = self._worst.get((place, stop_ticks))
        if known is None:
            worst_usd = worst_case_usd(stop_ticks, friction_ticks, self.rules.instrument)
            known = self._worst[place, stop_ticks] = int(worst_usd * 100)
        return known
