"""Events of the journal as lines for a person who watches the session."""

from datetime import datetime
from typing import Final

from engine.broker import (
    ConnectionReported,
    ExecutionReported,
    FeedReported,
    FlattenPosition,
    OrderEvent,
    OrderReported,
    PlaceBracket,
    PlaceProtection,
    ReplaceStop,
)
from engine.desk import (
    CommandFailed,
    LoopFailed,
    OperatorCommanded,
    SessionClosed,
    SessionOpened,
    fact_of,
)
from engine.desk.facts import Fact, IntentRecorded, OperatorRefused, OutsideResultCounted
from engine.instrument import Instrument
from engine.journal import Event, Kind
from engine.wording import side_name
from pipelines.journal_words import new_york, told_of

_SILENT: Final = frozenset({Kind.BAR, Kind.CLOCK, Kind.ACCOUNT, Kind.COMMISSION, Kind.EQS})


def line_of(event: Event, instrument: Instrument) -> str | None:
    """One line, led by New York time; null for what only a machine cares about."""
    if event.kind in _SILENT:
        return None
    told = told_of(event)
    if told is not None:
        return told.text
    fact = fact_of(event)
    text = None if fact is None else _text_of(fact, instrument)
    at = datetime.fromisoformat(event.at)
    return None if text is None else f"{new_york(at):%H:%M:%S} ET {text}"


def _text_of(fact: Fact, instrument: Instrument) -> str | None:
    match fact:
        case SessionOpened():
            return f"session {fact.session_date} of {fact.symbol} opened ({fact.mode})"
        case SessionClosed():
            return f"session closed, position {fact.position}, equity {fact.equity_usd} USD"
        case ExecutionReported():
            price = instrument.to_points(fact.price_ticks)
            act = "bought" if fact.side > 0 else "sold"
            return f"filled: {act} {fact.quantity} at {price} ({fact.ref})"
        case OrderReported() if fact.event in _TOLD_EVENTS:
            return f"order {fact.ref}: {fact.event} {fact.text}".rstrip()
        case ConnectionReported():
            return f"connection {fact.state} {fact.text}".rstrip()
        case FeedReported():
            return f"market data {fact.state} {fact.text}".rstrip()
        case IntentRecorded():
            return _intent_text(fact, instrument)
        case OutsideResultCounted():
            return f"outside any trade: {fact.net_usd} USD, counted in the day's result"
        case OperatorCommanded():
            return f"{fact.by} asks to {fact.verb}: {fact.reason or 'no reason given'}"
        case OperatorRefused():
            return f"{fact.verb} refused: {fact.text}"
        case CommandFailed() | LoopFailed():
            return f"failed: {fact.text}"
        case _:
            return None


_TOLD_EVENTS: Final = frozenset(
    {OrderEvent.REJECTED, OrderEvent.CANCELLED, OrderEvent.EXPIRED, OrderEvent.LOST_TRACK}
)


def _intent_text(fact: IntentRecorded, instrument: Instrument) -> str | None:
    match fact.command:
        case PlaceBracket() as order:
            limit, stop, target = (
                instrument.to_points(ticks)
                for ticks in (order.entry_limit_ticks, order.stop_ticks, order.target_ticks)
            )
            side = side_name(order.side)
            return f"sending {side} {order.quantity} at {limit}, stop {stop}, target {target}"
        case PlaceProtection() as order:
            return f"sending a stop at {instrument.to_points(order.stop_ticks)}: none was working"
        case ReplaceStop() as order:
            return f"moving the stop to {instrument.to_points(order.stop_ticks)}"
        case FlattenPosition():
            return "flattening: cancelling all orders, closing at market"
        case _:
            return None
