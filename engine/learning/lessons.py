"""What was learned, as it is journalled: trust in a template, its odds, or a number promoted.

A person's word on books that do not balance stands beside it: the night is done upon it.

A night that is done again and comes to something else says so beside what it had said before.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

import polars as pl

from engine.canonical import Reader, to_json
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.promotion import Promotion
from engine.learning.reliability import TrustChanged
from engine.wording import side_name


class About(StrEnum):
    """What a lesson is about; each comes from a stage of its own."""

    TRUST = "trust"
    ODDS = "odds"


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsChanged:
    """A side's odds come from its map from now on, or from the prior again, and the numbers of it.

    Scores are Brier scores on sessions after their fit, null before there are any.
    """

    session_date: date
    template: str
    side: int
    is_earned: bool
    outcomes: int
    sessions: int
    brier_map_ahead: float | None
    brier_base_ahead: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightLearned:
    """All that one night changed about one thing; `corrects` what the same night said before."""

    session_date: date
    about: About
    corrects: bool
    changes: tuple[TrustChanged | OddsChanged, ...]


Lesson = NightLearned | Promotion | DifferenceAccepted

_READER: Final = Reader(NightLearned, TrustChanged, OddsChanged, Promotion, DifferenceAccepted)


def lesson_json(lesson: Lesson) -> str:
    """The payload of its journal event."""
    return to_json(lesson)


def lesson_of(payload: str) -> Lesson:
    """The lesson that a payload tells; raises `JournalError` for one this version cannot read."""
    lesson: Lesson = _READER.from_json(payload)
    return lesson


def odds_changes(before: pl.DataFrame, after: pl.DataFrame, night: date) -> tuple[OddsChanged, ...]:
    """The sides whose map was earned or lost between two nights' `CALIBRATION_COLUMNS`."""
    was = {(row["template"], row["side"]) for row in _wholes(before) if row["is_map_earned"]}
    now = {(row["template"], row["side"]): row for row in _wholes(after)}
    changed = [
        _odds_changed(row, night)
        for key, row in sorted(now.items())
        if row["is_map_earned"] != (key in was)
    ]
    return tuple(changed)


def _wholes(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.filter(bin=0).to_dicts()


def _odds_changed(row: dict[str, Any], night: date) -> OddsChanged:
    names = ("outcomes", "sessions", "brier_map_ahead", "brier_base_ahead")
    ahead, base = row["brier_map_ahead"], row["brier_base_ahead"]
    scores = "" if ahead is None else f"Brier score {ahead:.4f} ahead against {base:.4f}, "
    what = "its map gives p_win from now on" if row["is_map_earned"] else "back to the prior"
    return OddsChanged(
        session_date=night,
        template=row["template"],
        side=row["side"],
        is_earned=row["is_map_earned"],
        text=f"{row['template']} {side_name(row['side'])}: {what} "
        f"({scores}{row['outcomes']} outcomes in {row['sessions']} sessions)",
        **{name: row[name] for name in names},
    )
