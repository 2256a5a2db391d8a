"""A session's decisions as a person asks for them: what was done, what was not, and why not."""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Final

from contracts.calendar import session_on
from engine.decision import Action
from engine.errors import InputRefused
from engine.journal import Kind
from pipelines.journal_store import JournalReader, journal_paths
from pipelines.journal_words import Told, new_york, told_of, told_of_night
from pipelines.session_journals import mode_that_tells
from pipelines.wiring import Wiring

DESK: Final = "desk/"
"""Folder of the journals of sessions that ran, under the folder of journals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStory:
    """Everything that one journal of a session tells of it, in order.

    `others` are the names of the other journals that have the session, as `of` takes them.
    """

    journal: Path
    session_date: date
    told: tuple[Told, ...]
    others: tuple[str, ...] = ()

    @property
    def decisions(self) -> tuple[Told, ...]:
        return tuple(each for each in self.told if each.decision is not None)

    @property
    def skips_by_reason(self) -> Mapping[str, int]:
        """Bars without a trade by reason, the most frequent first."""
        counted = Counter(
            each.decision["reason"]
            for each in self.decisions
            if each.decision is not None and each.action == Action.SKIP
        )
        return dict(counted.most_common())

    def decision_at(self, clock: time) -> Told:
        """The decision of this New York time; raises `InputRefused` saying which there are."""
        found = [each for each in self.decisions if new_york(each.at).time() == clock]
        if found:
            return found[0]
        if not self.decisions:
            had = "it recorded no decision at all"
        else:
            first, last = (new_york(self.decisions[index].at) for index in (0, -1))
            had = f"it has {len(self.decisions)}, from {first:%H:%M} to {last:%H:%M} ET"
        raise InputRefused(
            f"{self.journal}: expected a decision of {self.session_date} at {clock:%H:%M} ET, "
            f"but {had}; bars close from 09:31 ET on, and a journal of trades only "
            "(--journal trades) leaves quiet bars out"
        )


def session_story(wiring: Wiring, session_date: date, *, of: str = "") -> SessionStory:
    """The story of a session in the journal that tells of it, else in the newest that has it.

    `of` keeps the journals whose name under the folder of journals contains it. Where none has the
    session, what was learned after it is its story. Raises `CalendarError` for a day without a
    session and `InputRefused` when nothing tells of it.
    """
    learned = wiring.learning_journal
    paths = [path for path in journal_paths(wiring.journals) if path != learned.path]
    having = [path for path in paths if session_date in _sessions(path)]
    telling = _telling(wiring, session_date)
    having.sort(key=lambda path: (path != telling, not _name(wiring, path).startswith(DESK)))
    chosen = next((path for path in having if of in _name(wiring, path)), None)
    night = told_of_night(learned.events(session_date))
    if chosen is None and night and not having and not of:
        return SessionStory(journal=learned.path, session_date=session_date, told=tuple(night))
    if chosen is None:
        raise InputRefused(_no_journal(wiring, session_date, paths, having, of))
    kinds = (Kind.DECISION, Kind.TRADE, Kind.KILL, Kind.ALERT)
    events = JournalReader(chosen).events(session_date=session_date, kinds=kinds)
    told = [each for each in map(told_of, events) if each is not None]
    others = tuple(_name(wiring, path) for path in having if path != chosen)
    return SessionStory(
        journal=chosen, session_date=session_date, told=(*told, *night), others=others
    )


def _name(wiring: Wiring, path: Path) -> str:
    """A journal as a person names it: its place under the folder of journals, without suffix."""
    return path.relative_to(wiring.journals).with_suffix("").as_posix()


def _telling(wiring: Wiring, session_date: date) -> Path | None:
    """The desk's journal of the day; none where one of the desk's cannot be read."""
    symbol = wiring.rules.instrument.symbol
    with suppress(sqlite3.DatabaseError):
        mode = mode_that_tells(wiring.session_files, symbol, session_date)
        return None if mode is None else wiring.session_files.journal(mode, symbol)
    return None


def _sessions(path: Path) -> Sequence[date]:
    """Sessions of a journal; none of one that cannot be read, which `verify` reports."""
    try:
        return JournalReader(path).sessions()
    except sqlite3.DatabaseError:
        return ()


def _no_journal(
    wiring: Wiring, session_date: date, paths: Sequence[Path], having: Sequence[Path], of: str
) -> str:
    session_on(session_date, wiring.rules.session)  # Says so, if it is a holiday.
    expected = f"expected a journal with session {session_date}"
    if having:
        names = ", ".join(_name(wiring, path) for path in having)
        return f"{expected} and {of!r} in its name, found only {names}"
    make = f"make one: credence replay --from {session_date} --to {session_date}"
    if not paths:
        return f"{expected}, found none in {wiring.journals}; {make}"
    dates = sorted({day for path in paths for day in _sessions(path)})
    held = f"; they hold {dates[0]} to {dates[-1]}" if dates else ""
    return f"{expected}, found none among {len(paths)} in {wiring.journals}{held}; {make}"
