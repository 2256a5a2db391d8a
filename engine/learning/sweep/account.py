"""A parameter set's way through sessions: which candidates it takes, and what comes of them.

One position at a time and every limit of the constitution, as the desk counts them. The counters
are whole cents and microseconds, because a thousand sets count for ten years; a bar on which a
trouble of our own is still remembered is put to the desk's own `decide`.
"""

from bisect import bisect_left
from datetime import date
from typing import NamedTuple

from engine.decision import decide
from engine.learning.sweep.counters import Counters
from engine.learning.sweep.entries import Candidates
from engine.learning.sweep.lone_trade import Opening
from engine.learning.sweep.lone_trades import LoneTrades
from engine.learning.sweep.tape import TapeSession
from engine.learning.sweep.terms import Played, Terms, terms_of
from engine.market import Setup
from engine.rules import Rules
from engine.trade import TradeClosed


class CannotSweep(NamedTuple):
    """Why a set has to be replayed bar by bar: what happened, and in which session."""

    session_date: date
    text: str


class Account:
    """One desk under one set, from where its counters stand."""

    def __init__(
        self, candidates: Candidates, trades: LoneTrades, rules: Rules, counters: Counters
    ) -> None:
        self.taken: list[tuple[date, TradeClosed]] = []
        self.counters = counters
        self._rules = rules
        self._candidates = candidates
        self._trades = trades
        self._ids = [block.id for block in rules.strategies.templates]
        self._tiers = [block.tiers for block in rules.strategies.templates]
        self._ones = {1 << which: which for which in range(len(self._ids))}
        self._terms: dict[tuple[int, int], Terms] = {}
        self._losses = rules.execution.eqs_losses
        self._eqs_hold_min = rules.constitution.eqs_hold_min

    def run(self) -> CannotSweep | None:
        """Take what the set would take; not null where only a replay can tell."""
        places, tape = self._candidates.places, self._trades.tape
        closes: list[int] = tape.closes_us[self._candidates.in_order].tolist()
        counters, first, count = self.counters, 0, len(places)
        for session in self._trades.sessions:
            if first == count or counters.is_ruined:
                break
            if places[first] >= session.end:
                continue
            until = bisect_left(places, session.end, first)
            living = bisect_left(places, session.killed_from, first, until)
            refused = self._session(session, closes, first, living)
            if refused is not None:
                return refused
            first = until
        return None

    def _session(
        self, session: TapeSession, closes: list[int], index: int, until: int
    ) -> CannotSweep | None:
        """The entries of one session: its candidates are those from `index` until `until`."""
        places, counters = self._candidates.places, self.counters
        counters.open(session)
        while index < until and counters.may_enter():
            if closes[index] < counters.rests_until_us:
                index = bisect_left(closes, counters.rests_until_us, index, until)
                continue
            eqs = counters.eqs(session, closes[index])
            which = self._chosen(index, session, eqs)
            if which is None:
                index += 1
                continue
            played = self._played(index, which, session)
            if played is None or eqs - self._lost(played) < self._eqs_hold_min:
                return CannotSweep(session.session_date, "a trade cannot be told by itself")
            if counters.is_nearly_ruined:
                return CannotSweep(session.session_date, "the account is as good as empty")
            self.taken.append((session.session_date, played.closed))
            counters.book(played, session)
            index = bisect_left(places, played.free_from, index, until)
        return None

    def _chosen(self, index: int, session: TapeSession, eqs: float) -> int | None:
        """The template that is entered on, of those the market lets pass; null for none."""
        code = self._candidates.codes[index]
        if eqs < 1.0:
            return self._decided(index, code, session, eqs)
        only = self._ones.get(code)
        if only is not None:
            return only if self._is_allowed(index, only) else None
        allowed = [which for which in self._set_in(code) if self._is_allowed(index, which)]
        euc = {which: self._candidates.euc(index, which) for which in allowed}
        return min(allowed, key=lambda which: (-euc[which], self._ids[which]), default=None)

    def _is_allowed(self, index: int, which: int) -> bool:
        """Whether tier, caps and what is left of the limits allow a setup."""
        counters = self.counters
        stop = self._candidates.stop_ticks(index, which)
        if counters.tier not in self._tiers[which] or stop > counters.stop_ticks_max:
            return False
        place = self._candidates.places[index]
        friction = self._candidates.friction_ticks(index)
        return self._trades.worst_cents(place, stop, friction) <= counters.budget

    def _decided(self, index: int, code: int, session: TapeSession, eqs: float) -> int | None:
        """The desk's own decision, for a score that our execution takes something from."""
        setups = tuple(self._setup(index, which) for which in self._set_in(code))
        row = self._trades.tape.row(self._candidates.places[index])
        own = self.counters.own_view(session, eqs)
        chosen = decide(row._replace(setups=setups), own, self._rules).chosen
        return None if chosen is None else self._ids.index(chosen.template)

    def _set_in(self, code: int) -> list[int]:
        return [which for which in range(len(self._ids)) if code >> which & 1]

    def _setup(self, index: int, which: int) -> Setup:
        return self._candidates.setup(index, which)

    def _played(self, index: int, which: int, session: TapeSession) -> Played | None:
        stop = self._candidates.stop_ticks(index, which)
        terms = self._terms.get((which, stop))
        if terms is None:
            terms = self._terms[which, stop] = terms_of(self._ids[which], stop, self._rules)
        place = self._candidates.places[index]
        key = (place, which, self._candidates.target_ticks(index, which))
        known = self._trades.known(key, terms)
        if known is not None:
            return known
        return self._trades.play(
            key,
            Opening(self._ids[which], self._candidates.side(index, which), stop, key[2]),
            session,
            self._rules,
        )

    def _lost(self, played: Played) -> float:
        return sum(self._losses[trouble].amount for trouble, _ in played.troubles)
