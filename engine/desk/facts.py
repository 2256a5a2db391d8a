"""Everything that can stand in the journal: what came in, and what followed from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from engine.broker import (
    BrokerReport,
    Command,
    FeedReported,
)
from engine.errors import InputRefused
from engine.execution_quality import Trouble
from engine.kill import FlatVerified, KillChanged
from engine.market import MarketRow
from engine.modes import Mode, OperatorVerb
from engine.own_view import Standing
from engine.reconciliation import Finding
from engine.trade import StopMoved, TradeChanged, TradeClosed, TradePlanned
from engine.units import DecisionId, OrderRef


class Recording(StrEnum):
    """Whether quiet bars leave their bar and decision records, or only bars that an act touches."""

    FULL = "full"
    TRADES = "trades"


# ── Inputs ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """The session, its mode, and what the last night's learning says of the templates.

    Raises `InputRefused` for odds of this session or a later one: nothing of a session may decide
    in it.
    """

    at: datetime
    session_date: date
    symbol: str
    opens_at: datetime
    closes_at: datetime
    mode: Mode
    recording: Recording = Recording.FULL
    standings: Mapping[str, Standing]

    def __post_init__(self) -> None:
        for template, standing in self.standings.items():
            for odds in standing.odds:
                if odds.through >= self.session_date:
                    raise InputRefused(
                        f"{template}: expected odds of nights before session {self.session_date}, "
                        f"got those of {odds.through}; open it under the night before"
                    )

    @property
    def minutes(self) -> int:
        return int((self.closes_at - self.opens_at).total_seconds()) // 60

    def minute_at(self, instant: datetime) -> int:
        """Minutes since the open."""
        return int((instant - self.opens_at).total_seconds()) // 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed:
    """The session is over; position and equity as the broker last said."""

    at: datetime
    position: int
    equity_usd: Decimal | None


class BarClosed(NamedTuple):
    """A bar closed, and this is the newest row of the market frame."""

    row: MarketRow


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCommanded:
    """A person pulled a lever; `by` is their name, `reason` what they gave as one."""

    at: datetime
    verb: OperatorVerb
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTicked:
    """Time passed. A tick on which nothing is due leaves no trace."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFailed:
    """A command surely never left, or a query was never answered; `refs` are its orders."""

    at: datetime
    refs: tuple[OrderRef, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFailed:
    """The loop around the desk met an exception that it did not expect."""

    at: datetime
    text: str


Input = (
    SessionOpened
    | SessionClosed
    | BarClosed
    | OperatorCommanded
    | ClockTicked
    | CommandFailed
    | LoopFailed
    | FeedReported
    | BrokerReport
)

# ── Derived ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeen:
    """A closed bar as the journal keeps it; only an open trade remembers its prices."""

    at: datetime
    high_ticks: int
    low_ticks: int
    close_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecorded:
    """A command that may be sent once this is on disk, and not before."""

    at: datetime
    decision_id: DecisionId
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleNoted:
    """Something that costs execution quality, and the number of the bar it fell into."""

    at: datetime
    trouble: Trouble
    bar_number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Our picture was compared with the broker's; no findings means that they agree."""

    at: datetime
    cause: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdopted:
    """The broker's position was taken over, because no execution explains it."""

    at: datetime
    expected: int
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideResultCounted:
    """Executions of no trade ended flat: a flattening of what another hand bought, a late fill.

    Their result, fees included, counts in the limits. The price of an adopted position is unknown:
    then `net_usd` is the fees alone.
    """

    at: datetime
    execution_ids: tuple[str, ...]
    net_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQualityChanged:
    """The data validity score crossed a gate; `level` is 0 (kills), 1, 2 (holds) or 3 (enters)."""

    at: datetime
    level: int
    dvs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRefused:
    """A person's command that cannot be obeyed, and why."""

    at: datetime
    verb: OperatorVerb
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised:
    """Something a person has to see to; repeated until they do."""

    at: datetime
    text: str


Fact = (
    SessionOpened
    | SessionClosed
    | OperatorCommanded
    | ClockTicked
    | CommandFailed
    | LoopFailed
    | FeedReported
    | BrokerReport
    | BarSeen
    | IntentRecorded
    | TroubleNoted
    | Reconciled
    | PositionAdopted
    | OutsideResultCounted
    | DataQualityChanged
    | OperatorRefused
    | AlertRaised
    | KillChanged
    | FlatVerified
    | TradePlanned
    | TradeChanged
    | StopMoved
    | TradeClosed
)
