"""The odds that stored nights gave each session, for a replay beside the desk's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from assets.ports import Warehouse
from engine.journal import Entry, Stamp
from engine.learning.calibration_table import with_odds
from engine.own_view import Standing
from engine.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsOfNights:
    """The standings of sessions as far as odds go: of each, those of the last night before it.

    Friction and quarantine are left out: they judge a template, and a variant in quarantine would
    have no result to be judged by.
    """

    standings: Mapping[date, Mapping[str, Standing]]

    @property
    def are_any_earned(self) -> bool:
        """Whether a map takes the prior's place in any session."""
        return any(
            standing.earned_on(odds.side) is not None
            for told in self.standings.values()
            for standing in told.values()
            for odds in standing.odds
        )

    def nights(self, session_dates: Sequence[date]) -> "_Told":
        """What a replay of these sessions is told before each of them, in order."""
        return _Told([self.standings.get(day, {}) for day in session_dates])


class _Told:
    """Nights that teach nothing more: each session is opened under what is known of it."""

    def __init__(self, standings: Sequence[Mapping[str, Standing]]) -> None:
        self._standings = standings
        self._played = 0

    def standings(self) -> Mapping[str, Standing]:
        return self._standings[self._played]

    def after(self, entries: Sequence[Entry], stamp: Stamp) -> None:  # noqa: ARG002 - of the port.
        self._played += 1


def odds_of_nights(
    warehouse: Warehouse, session_dates: Sequence[date], rules: Rules
) -> OddsOfNights:
    """The odds of these sessions, ascending, from stored calibrations; a session before the first
    night has none.
    """
    symbol, last = rules.instrument.symbol, session_dates[-1]
    rows = warehouse.read("calibration", symbol, date.min, last).filter(pl.col("bin") == 0)
    by_night = {
        key[0]: part for key, part in rows.partition_by("session_date", as_dict=True).items()
    }
    active = {block.id: Standing() for block in rules.strategies.templates}
    known: dict[date, Mapping[str, Standing]] = {}
    for day in session_dates:
        night = max((each for each in by_night if each < day), default=None)
        if night is not None:
            known[day] = with_odds(active, by_night[night], night, rules)
    return OddsOfNights(standings=known)
