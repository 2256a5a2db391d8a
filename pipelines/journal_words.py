"""What single events of the journal tell a person, in plain English."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine.desk import fact_of
from engine.desk.facts import AlertRaised, OutsideResultCounted
from engine.journal import Event, Kind
from engine.kill import KillChanged
from engine.learning.lessons import NightLearned, lesson_of
from engine.trade import ExitKind, TradeClosed
from engine.wording import side_name, usd

NEW_YORK: Final = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing of a session that a person would want to know; `text` is plain English.

    `action` is the decision's, or the kind of the event where it is none.
    """

    at: datetime
    seq: int
    action: str
    text: str
    decision: Mapping[str, Any] | None


def new_york(instant: datetime) -> datetime:
    """The instant on the exchange's clock."""
    return instant.astimezone(NEW_YORK)


def told_of(event: Event) -> Told | None:
    """What an event tells a person; null for one that only a machine cares about."""
    at = datetime.fromisoformat(event.at)
    if event.kind == Kind.DECISION:
        payload = json.loads(event.payload)
        action, text = payload["action"], payload["sentence"]
        return Told(at=at, seq=event.seq, action=action, text=text, decision=payload)
    text = _text_of(event, at)
    if text is None:
        return None
    return Told(at=at, seq=event.seq, action=event.kind, text=text, decision=None)


def told_of_night(events: Iterable[Event]) -> list[Told]:
    """What was learned after a session: a line for each change, correction, promotion and act."""
    return [
        Told(
            at=datetime.fromisoformat(event.at),
            seq=event.seq,
            action=event.kind,
            text=text,
            decision=None,
        )
        for event in events
        for text in _learned_texts(event)
    ]


def _learned_texts(event: Event) -> list[str]:
    lesson = lesson_of(event.payload)
    if not isinstance(lesson, NightLearned):
        at = new_york(lesson.at)
        return [f"after it, on {at:%Y-%m-%d} at {at:%H:%M} ET: {lesson.text}."]
    lead = "the night, corrected: " if lesson.corrects else "the night: "
    texts = [change.text for change in lesson.changes]
    return [f"{lead}{text}." for text in texts or [f"no change of {lesson.about} after all"]]


def _text_of(event: Event, at: datetime) -> str | None:
    """Sentence of an event that is no decision; null for one that only a machine cares about."""
    clock = f"{new_york(at):%H:%M} ET"
    match fact_of(event):
        case TradeClosed() as closed:
            return f"{clock} {_closed_text(closed)}"
        case KillChanged() as changed:
            why = changed.text or changed.cause or "no reason given"
            return f"{clock} the desk is {changed.after.value}, by {changed.by}: {why}."
        case OutsideResultCounted() as outside:
            return f"{clock} outside any trade {usd(outside.net_usd)} were won or lost."
        case AlertRaised() as alert:
            return f"{clock} alert: {alert.text}."
        case _:
            return None


def _closed_text(closed: TradeClosed) -> str:
    trade = f"{closed.template} {side_name(closed.side)}"
    if closed.exit_kind is not ExitKind.NEVER_FILLED and closed.exit_price_ticks is None:
        return (
            f"{trade} ended, and no execution tells how: its result is unknown. The limits count "
            f"{usd(closed.net_usd)}, by the last close that was seen."
        )
    if closed.exit_kind is ExitKind.NEVER_FILLED:
        return f"{trade} was never filled."
    return (
        f"{trade} closed by {closed.exit_kind.replace('_', ' ')}: {closed.gross_ticks:+d} ticks, "
        f"{usd(closed.net_usd)} after {usd(closed.fees_usd)} of fees."
    )
