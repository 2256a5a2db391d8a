"""Facts into journal entries and events back into facts; a state into text and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import orjson

from engine.broker import (
    AccountReported,
    BrokerSnapshot,
    CommissionReported,
    ConnectionReported,
    ExecutionReported,
    FeedReported,
    OrderReported,
    PositionReported,
)
from engine.canonical import Reader, to_json
from engine.desk.facts import (
    AlertRaised,
    BarSeen,
    ClockTicked,
    CommandFailed,
    DataQualityChanged,
    Fact,
    IntentRecorded,
    LoopFailed,
    OperatorCommanded,
    OperatorRefused,
    OutsideResultCounted,
    PositionAdopted,
    Reconciled,
    SessionClosed,
    SessionOpened,
    TroubleNoted,
)
from engine.desk.state import DeskState
from engine.errors import JournalError
from engine.journal import Entry, Event, Kind
from engine.kill import FlatVerified, KillChanged
from engine.trade import StopMoved, TradeChanged, TradeClosed, TradePlanned

KIND_OF: Final[Mapping[type, Kind]] = {
    SessionOpened: Kind.SESSION,
    SessionClosed: Kind.SESSION,
    OperatorCommanded: Kind.OPERATOR,
    OperatorRefused: Kind.OPERATOR,
    ClockTicked: Kind.CLOCK,
    CommandFailed: Kind.ERROR,
    LoopFailed: Kind.ERROR,
    OrderReported: Kind.ORDER,
    ExecutionReported: Kind.EXECUTION,
    CommissionReported: Kind.COMMISSION,
    PositionReported: Kind.POSITION,
    AccountReported: Kind.ACCOUNT,
    ConnectionReported: Kind.CONNECTION,
    FeedReported: Kind.CONNECTION,
    BrokerSnapshot: Kind.RECONCILIATION,
    Reconciled: Kind.RECONCILIATION,
    PositionAdopted: Kind.POSITION,
    OutsideResultCounted: Kind.POSITION,
    IntentRecorded: Kind.INTENT,
    TroubleNoted: Kind.EQS,
    DataQualityChanged: Kind.QUALITY,
    AlertRaised: Kind.ALERT,
    KillChanged: Kind.KILL,
    FlatVerified: Kind.KILL,
    TradePlanned: Kind.TRADE,
    TradeChanged: Kind.TRADE,
    StopMoved: Kind.TRADE,
    TradeClosed: Kind.TRADE,
}

_READER: Final = Reader(*KIND_OF, DeskState)
_KIND_TEXT: Final = {fact: kind.value for fact, kind in KIND_OF.items()}
"""Plain text is put into other text at half the price of an enumeration's."""


def entry_of(fact: Fact) -> Entry:
    """A fact on its way into the journal, with the ids it belongs to."""
    decision_id = getattr(fact, "decision_id", "")
    if isinstance(fact, TradePlanned):
        decision_id = fact.plan.decision_id
    ref = getattr(fact, "ref", "") or ""
    return Entry(_KIND_TEXT[type(fact)], fact.at, to_json(fact, without="at"), decision_id, ref)


def fact_of(event: Event) -> Fact | None:
    """The fact that an event holds; null for a record that changes nothing in the desk.

    Those are decisions, and what a night learned: it reaches the desk when a session is opened.

    Raises `JournalError` for a fact that this version cannot read.
    """
    if event.kind == Kind.DECISION or event.kind == Kind.LEARNING:
        return None
    at = datetime.fromisoformat(event.at)
    if event.kind == Kind.BAR:
        return bar_seen(at, event.payload)
    fact: Fact = _READER.from_json(event.payload, at=at)
    return fact


def bar_seen(at: datetime, bar_json: str) -> BarSeen:
    """What an open trade remembers of a journalled bar."""
    bar = orjson.loads(bar_json)
    return BarSeen(
        at=at,
        high_ticks=bar["high_ticks"],
        low_ticks=bar["low_ticks"],
        close_ticks=bar["close_ticks"],
    )


def state_to_json(state: DeskState) -> str:
    """Canonical text of a whole state; the state it is read back to is equal in every field."""
    return to_json(state)


def state_from_json(text: str) -> DeskState:
    """The state that a text holds. Raises `JournalError` for one this version cannot read."""
    state = _READER.from_json(text)
    if not isinstance(state, DeskState):
        raise JournalError(f"expected the state of a desk, got a {type(state).__name__}")
    return state
