"""Nights between the sessions of a replay: what each one taught the next is opened under."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from assets.journal_rows import decision_rows
from assets.learned_history import LearnedHistory
from contracts.calendar import session_on
from contracts.schemas import columns_of
from engine.decision import Action
from engine.journal import Chain, Entry, Event, Kind, Stamp
from engine.learning.calibration import calibrate
from engine.learning.calibration_table import calibration_rows, with_odds
from engine.learning.conduct import opened_under
from engine.learning.executions import execution_rows
from engine.learning.learning_state import next_learning, standings
from engine.learning.reliability import TrustChanged
from engine.learning.round_trips import round_trips
from engine.market import market_frame
from engine.own_view import Standing
from engine.rules import Rules

_QUIET: Final = frozenset({Kind.BAR, Kind.CLOCK})
_ENTERED: Final = f'{{"action":"{Action.ENTER}"'


class ReplayNights:
    """The nights of one replay, in memory; the same as those of the stored tables.

    Each looks back on the sessions of the replay alone, so that the same replay teaches the same.
    """

    def __init__(self, contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules) -> None:
        self.changes: list[TrustChanged] = []
        self.state = pl.DataFrame(schema=columns_of("learning_state"))
        self.calibration = pl.DataFrame(schema=columns_of("calibration"))
        self._rules = rules
        self._history = LearnedHistory(market_frame(contexts, bars, rules), rules)

    def standings(self) -> Mapping[str, Standing]:
        """Under what the next session is opened; nothing before the first night."""
        if self.state.is_empty():
            return {}
        night = self.state["session_date"][0]
        return with_odds(standings(self.state, self._rules), self.calibration, night, self._rules)

    def after(self, entries: Sequence[Entry], stamp: Stamp) -> None:
        """The night of a session that has just been played."""
        day = stamp.session_date
        kept = [each for each in entries if _teaches(each)]
        events = Chain().seal(kept, stamp)
        shadows = self._history.shadows(day, opened_under(events))
        night = next_learning(self.state, self._traded(events, day), shadows, day, self._rules)
        self.state = night.state
        self.changes += night.changes
        self.calibration = self._calibrated(day)

    def _traded(self, events: Sequence[Event], day: date) -> pl.DataFrame:
        rules = self._rules
        decided = [event for event in events if event.kind == Kind.DECISION]
        session = session_on(day, rules.session)
        frame = self._history.on(self._history.frame, day)
        return round_trips(
            execution_rows(events), decision_rows(decided, session, rules), events, frame, rules
        )

    def _calibrated(self, day: date) -> pl.DataFrame:
        history, rules = self._history, self._rules
        known = history.through(history.forecasts, day)
        enough = rules.beliefs.calibration_outcomes_min
        judged = calibrate(known, rules.learning.calibration, outcomes_min=enough)
        return calibration_rows(judged, day, rules)


def _teaches(entry: Entry) -> bool:
    """Whether a night reads it: of decisions the entries alone."""
    if entry.kind in _QUIET:
        return False
    return entry.kind != Kind.DECISION or entry.payload.startswith(_ENTERED)
