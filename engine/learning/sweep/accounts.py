"""The ways of some parameter sets through sessions: which candidates each takes, and what comes of
them.

One position at a time and every limit of the constitution, as the desk counts them. The sets go
side by side, session by session: each round finds the next candidate of all that may still enter. A
bar on which several templates pass is judged for its set alone, and one on which a trouble of our
own is still remembered is put to the desk's own `decide`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.decision import decide
from engine.learning.parameter_sets import ParameterSet, rules_with
from engine.learning.sweep.counters import Carried, Counters, Numbers, Sets, stop_ticks_max_by_tier
from engine.learning.sweep.entries import Candidates, Entries
from engine.learning.sweep.lone_trade import Opening
from engine.learning.sweep.lone_trades import LoneTrades
from engine.learning.sweep.tape import TapeSession
from engine.learning.sweep.terms import Played, Terms, terms_of
from engine.rules import Rules
from engine.trade import TradeClosed

_NONE: Final = -1
_SEVERAL: Final = -2


class CannotSweep(NamedTuple):
    """Why a set has to be replayed bar by bar: what happened, and in which session."""

    session_date: date
    text: str


class SetOrder(NamedTuple):
    """A set and where it stands; `keeps` asks for its trades and not only for their sums."""

    chosen: ParameterSet
    carried: Carried
    keeps: bool


@dataclass(slots=True, kw_only=True)
class Way:
    """A set, its rules and candidates, and why its way ended early if it did.

    `taken` are its trades, null where nobody asks for them.
    """

    rules: Rules
    candidates: Candidates
    terms: dict[tuple[int, int], Terms]
    taken: list[TradeClosed] | None
    refused: CannotSweep | None = None


class Accounts:
    """One desk under each of some sets, from where its counters stand.

    Of each set `trades` counts what was filled, `wins` those that gained, `unfilled` the others;
    `net_cents` has a row for each set and a column for each session.
    """

    def __init__(
        self,
        entries: Entries,
        trades: LoneTrades,
        rules: Rules,
        orders: Sequence[SetOrder],
    ) -> None:
        self.counters = Counters([order.carried for order in orders], rules)
        self.ways = [_way(order, entries, rules) for order in orders]
        self.trades, self.wins, self.unfilled = np.zeros((3, len(orders)), np.int64)
        self.net_cents: Numbers = np.zeros((len(orders), len(trades.sessions)), np.int64)
        self._keeps = any(order.keeps for order in orders)
        self._entries = entries
        self._trades = trades
        self._closes_us = trades.tape.closes_us[entries.places]
        self._codes = np.stack([way.candidates.codes for way in self.ways])
        self._goes_on = np.ones(len(orders), bool)
        self._ids = [block.id for block in rules.strategies.templates]
        tiers = [tier.name for tier in rules.constitution.tiers]
        blocks = rules.strategies.templates
        self._is_of_tier = np.array([[tier in block.tiers for tier in tiers] for block in blocks])
        self._stop_ticks_max = np.array(stop_ticks_max_by_tier(rules))
        self._which = np.full(1 << len(blocks), _SEVERAL)
        self._which[[1 << which for which in range(len(blocks))]] = range(len(blocks))
        self._eqs_hold_min = rules.constitution.eqs_hold_min
        self._losses = rules.execution.eqs_losses

    def run(self) -> None:
        """Take what every set would take."""
        sessions, places = self._trades.sessions, self._entries.places
        starts = places.searchsorted([session.start for session in sessions]).tolist()
        ends = places.searchsorted([min(s.end, s.killed_from) for s in sessions]).tolist()
        for nth, (session, start, end) in enumerate(zip(sessions, starts, ends, strict=True)):
            self.counters.open(session)
            self._goes_on &= ~self.counters.is_ruined
            if start < end:
                self._session(nth, session, start, end)

    def _session(self, nth: int, session: TapeSession, start: int, end: int) -> None:
        """The entries of one session: its candidates are among the kept bars `start` to `end`."""
        is_candidate = self._codes[:, start:end] != 0
        ahead, least_cents = np.arange(end - start), self._entries.least_cents[start:end]
        next_row = np.zeros(len(self.ways), np.intp)
        while True:
            (who,) = np.nonzero(self._goes_on & self.counters.may_enter())
            found = is_candidate[who] & (ahead >= next_row[who, None])
            found &= least_cents <= self.counters.budget[who, None]
            has_one = found.any(axis=1)
            who = who[has_one]
            if not who.size:
                return
            rows = start + found[has_one].argmax(axis=1)
            next_row[who] = rows - start + 1
            which = self._chosen(who, rows, session)
            enters = which != _NONE
            who, rows, which = who[enters], rows[enters], which[enters]
            if not who.size:
                continue
            who, played = self._told(who, rows, which, session)
            self.counters.book(who, played, session)
            self._note(who, played, nth)
            free = self._entries.places[start:end].searchsorted([p.free_from for p in played])
            rests = self.counters.rests_until_us[who]
            rested = self._closes_us[start:end].searchsorted(rests)
            next_row[who] = np.maximum(free, rested)

    def _chosen(self, who: Sets, rows: Sets, session: TapeSession) -> Sets:
        """The template that each set enters on, of those the market lets pass; `_NONE` for none."""
        which = self._which[self._codes[who, rows]]
        chosen = np.where(self._are_allowed(who, rows, which), which, _NONE)
        impaired = self.counters.impaired
        odd = which == _SEVERAL
        if impaired:
            odd |= np.isin(who, list(impaired))
        for place in np.flatnonzero(odd).tolist():
            chosen[place] = self._of_several(int(who[place]), int(rows[place]), session)
        return chosen

    def _are_allowed(self, who: Sets, rows: Sets, which: Sets) -> npt.NDArray[np.bool_]:
        """Whether tier, caps and what is left of the limits allow a setup."""
        tier = self.counters.tier[who]
        return (
            self._is_of_tier[which, tier]
            & (self._entries.stop_ticks[which, rows] <= self._stop_ticks_max[tier])
            & (self._entries.worst_cents[which, rows] <= self.counters.budget[who])
        )

    def _of_several(self, nth: int, row: int, session: TapeSession) -> int:
        """The template of one set, where several pass or our execution takes from the score."""
        code = int(self._codes[nth, row])
        passing = [which for which in range(len(self._ids)) if code >> which & 1]
        way = self.ways[nth]
        eqs = self.counters.eqs(nth, session, self._closes_us[row].item())
        if eqs < 1.0:
            market = self._trades.tape.row(int(self._entries.places[row]))
            setups = tuple(way.candidates.setup(row, which) for which in passing)
            own = self.counters.own_view(nth, session, eqs, way.rules)
            chosen = decide(market._replace(setups=setups), own, way.rules).chosen
            return _NONE if chosen is None else self._ids.index(chosen.template)
        many = np.array(passing)
        is_allowed = self._are_allowed(np.full(many.size, nth), np.full(many.size, row), many)
        allowed: list[int] = many[is_allowed].tolist()
        if len(allowed) < 2:
            return allowed[0] if allowed else _NONE
        euc = {which: way.candidates.euc(row, which) for which in allowed}
        return min(euc, key=lambda which: (-euc[which], self._ids[which]))

    def _note(self, who: Sets, played: Sequence[Played], nth: int) -> None:
        """Add up a trade of each of some sets, and keep it where that is asked for."""
        net = np.array([each.net_cents for each in played], np.int64)
        is_filled = np.array([each.opened_us is not None for each in played], bool)
        self.net_cents[who, nth] += net
        self.trades[who] += is_filled
        self.unfilled[who] += ~is_filled
        self.wins[who] += net > 0
        if self._keeps:
            for set_nth, each in zip(who.tolist(), played, strict=True):
                if (taken := self.ways[set_nth].taken) is not None:
                    taken.append(each.closed)

    def _played(
        self, who: Sets, rows: Sets, which: Sets, session: TapeSession
    ) -> list[Played | None]:
        """A trade of each of some sets; null where only a replay can tell."""
        entries, trades, found = self._entries, self._trades, list[Played | None]()
        places = entries.places[rows].tolist()
        stops = entries.stop_ticks[which, rows].tolist()
        asked = zip(who.tolist(), rows.tolist(), which.tolist(), places, stops, strict=True)
        for nth, row, each, place, stop in asked:
            way = self.ways[nth]
            terms = way.terms.get((each, stop))
            if terms is None:
                terms = terms_of(self._ids[each], stop, way.rules)
                way.terms[each, stop] = terms
            key = (place, each, way.candidates.target_ticks[each][row])
            played = trades.known(key, terms)
            if played is None:
                side = int(entries.side[each, row])
                opening = Opening(self._ids[each], side, stop, key[2])
                played = trades.play(key, opening, session, way.rules)
            found.append(played)
        return found

    def _told(
        self, who: Sets, rows: Sets, which: Sets, session: TapeSession
    ) -> tuple[Sets, list[Played]]:
        """The trades that can be told by themselves; a set with another one ends here."""
        told: list[Played] = []
        is_told = np.ones(who.size, bool)
        is_poor = self.counters.is_nearly_ruined[who]
        for place, each in enumerate(self._played(who, rows, which, session)):
            why = None
            if each is None or (
                each.troubles and self._could_kill(int(who[place]), int(rows[place]), each, session)
            ):
                why = "a trade cannot be told by itself"
            elif is_poor[place]:
                why = "the account is as good as empty"
            else:
                told.append(each)
                continue
            self.ways[who[place]].refused = CannotSweep(session.session_date, why)
            is_told[place] = False
        self._goes_on[who[~is_told]] = False
        return who[is_told], told

    def _could_kill(self, nth: int, row: int, played: Played, session: TapeSession) -> bool:
        """Whether a trade's troubles could take the EQS below what an open trade is held with."""
        eqs = self.counters.eqs(nth, session, self._closes_us[row].item())
        lost = sum(self._losses[trouble].amount for trouble, _ in played.troubles)
        return eqs - lost < self._eqs_hold_min


def _way(order: SetOrder, entries: Entries, rules: Rules) -> Way:
    return Way(
        rules=rules_with(rules, order.chosen.changes),
        candidates=entries.under(order.chosen),
        terms={},
        taken=[] if order.keeps else None,
    )
