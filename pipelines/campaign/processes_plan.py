"""Which blow falls on a session's process, and when: planned from one integer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from random import Random
from typing import Final

from engine.journal import Kind

DAGSTER_EVERY: Final = 5
"""Every so many seeds the session is launched by Dagster's daemon, the others by its verdict."""


class Blow(StrEnum):
    """What strikes a session's process."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP"
    DISK = "full disk"
    SOCKET = "dropped socket"
    POWER = "power cut"


DEADLY: Final = (Blow.KILL, Blow.DISK, Blow.POWER)
"""What ends the process; a session is launched three times at most, so two of them fall on one."""

SURVIVED: Final = (Blow.FREEZE, Blow.SOCKET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The count-th event of a kind that is durable since the launch, or since the last recovery."""

    kind: Kind
    count: int

    @property
    def text(self) -> str:
        return f"{self.kind.value} {self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One blow; `held_seconds` is wall time for which a frozen process is left so."""

    blow: Blow
    moment: Moment
    held_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A generated half day on which the desk enters, and where its bars are from."""

    session_date: date
    source: str


PLAYS: Final = (
    Play(session_date=date(2023, 7, 3), source="generator:7"),
    Play(session_date=date(2024, 11, 29), source="generator:8"),
    Play(session_date=date(2025, 7, 3), source="generator:8"),
    Play(session_date=date(2025, 11, 28), source="generator:7"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """One session, who launches it, and the blows that fall on it, in order."""

    seed: int
    play: Play
    is_under_dagster: bool
    strikes: Sequence[Strike]


WAIT_BARS_MAX: Final = 36
"""A moment that has not come after so many bars comes then: not every session has two trades."""

_MOMENTS: Final[Sequence[tuple[Kind, int]]] = (
    (Kind.INTENT, 2),
    (Kind.ORDER, 6),
    (Kind.EXECUTION, 2),
    (Kind.COMMISSION, 2),
    (Kind.TRADE, 3),
    (Kind.ACCOUNT, 2),
    (Kind.DECISION, WAIT_BARS_MAX),
    (Kind.DECISION, WAIT_BARS_MAX),
)
"""Kinds of events and up to which of them; a trade's events are sought more often than bars."""

_FIRST: Final[Sequence[tuple[Kind, int]]] = (
    (Kind.SESSION, 1),
    (Kind.RECONCILIATION, 1),
    (Kind.CONNECTION, 1),
    *_MOMENTS,
    *_MOMENTS,
)
"""The first blow may fall while the session opens."""


def plan_of(seed: int) -> ProcessPlan:
    """The plan of a seed: five blows, two of which end the process."""
    chance = Random(seed)
    deadly = [chance.choice(DEADLY), chance.choice(DEADLY)]
    blows = [*deadly, *(chance.choice(SURVIVED) for _ in range(3))]
    chance.shuffle(blows)
    return ProcessPlan(
        seed=seed,
        play=chance.choice(PLAYS),
        is_under_dagster=seed % DAGSTER_EVERY == 0,
        strikes=tuple(_strikes(blows, chance)),
    )


def _strikes(blows: Sequence[Blow], chance: Random) -> Iterator[Strike]:
    for number, blow in enumerate(blows):
        kind, most = chance.choice(_MOMENTS if number else _FIRST)
        moment = Moment(kind=kind, count=chance.randint(1, most))
        yield Strike(blow=blow, moment=moment, held_seconds=chance.uniform(1.0, 8.0))
