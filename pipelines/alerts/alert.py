"""Which facts of a journal a person has to hear of, and in which words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from engine.desk import fact_of
from engine.desk.facts import AlertRaised
from engine.journal import Event, Kind
from engine.kill import FlatVerified, KillChanged, KillEvent, KillState

NEW_YORK: Final = ZoneInfo("America/New_York")

ALARMING: Final = (Kind.KILL, Kind.ALERT)
"""The kinds of events among which `alert_of` finds anything."""

AFTER_A_KILL: Final = (
    "Every order is being cancelled and what is held flattened; until it is said that the desk is "
    "flat, look at the account. Only a person resumes: credence resume"
)
"""A kill is told before the broker was asked for anything, and perhaps it cannot be."""


class Urgency(StrEnum):
    """How soon a person should look; the words are those of the messengers."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message to a person; a kill is told however many others there are."""

    urgency: Urgency
    title: str
    text: str
    is_kill: bool = False


def alert_of(event: Event) -> Alert | None:
    """What an event has to say to a person; null when it is none of their concern."""
    if event.kind not in ALARMING:
        return None
    when = f"{datetime.fromisoformat(event.at).astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} New York"
    match fact_of(event):
        case AlertRaised() as fact:
            return alert_saying(fact.text)
        case FlatVerified():
            text = f"{when}: the broker says that nothing is held and nothing is working."
            return Alert(urgency=Urgency.SUCCESS, title="Credence: flat after the kill", text=text)
        case KillChanged() as fact:
            return _of_switch(fact, when)
    return None


def alert_saying(text: str) -> Alert:
    """The message of an alert that was raised with this text."""
    return Alert(urgency=Urgency.FAILURE, title=f"Credence: {text}"[:120], text=text)


def _of_switch(fact: KillChanged, when: str) -> Alert | None:
    """A desk that stops, or that a person lets go on; a limit that clears itself is no news."""
    why = f"{when}, by {fact.by}: {fact.text or fact.cause or 'no reason given'}."
    if fact.after is fact.before:
        return None
    if fact.after is KillState.KILLED:
        text = f"{why} {AFTER_A_KILL}"
        return Alert(urgency=Urgency.FAILURE, title="Credence KILLED", text=text, is_kill=True)
    if fact.after is KillState.HALTED:
        then = "No new entries; an open trade is managed to its end."
        return Alert(urgency=Urgency.WARNING, title="Credence halted", text=f"{why} {then}")
    if fact.event is KillEvent.PERSON_RESUMED:
        return Alert(urgency=Urgency.INFO, title="Credence resumed", text=why)
    return None
