"""How a session was opened and each decision carried out, read from the journal.

Nothing here counts lots or money; those come from executions alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from engine.broker import FlattenPosition, Leg, OrderEvent, OrderReported, PlaceBracket
from engine.desk import Fact, SessionOpened, fact_of
from engine.desk.facts import CommandFailed, IntentRecorded
from engine.journal import Event, Kind
from engine.orders import OrderState
from engine.own_view import Standing
from engine.supervisor import UNACKNOWLEDGED, Orders, after_intent, read_ref
from engine.trade import ExitKind, StopMoved, TradeChanged, TradeEvent, TradePlan, TradePlanned
from engine.units import OrderRef

_READ: Final = frozenset({Kind.TRADE, Kind.INTENT, Kind.ORDER, Kind.ERROR})
_UNHEARD: Final = UNACKNOWLEDGED | {OrderState.UNKNOWN}


@dataclass(slots=True, kw_only=True)
class Conduct:
    """One decision's way through the market, in the order of the journal.

    `stops` are the stop's prices with the instant from which each held, the planned one first;
    `asked` are the market exits asked for; `alive` says since when a stop was alive or none was.
    """

    plan: TradePlan
    sent_at: datetime | None = None
    stops: list[tuple[datetime, int]] = field(default_factory=list)
    asked: list[datetime] = field(default_factory=list)
    asked_kind: ExitKind | None = None
    rejects: int = 0
    alive: list[tuple[datetime, bool]] = field(default_factory=list)

    def stop_at(self, instant: datetime) -> int:
        """The stop's price in force at an instant; before the first move the planned one."""
        moved = [price for at, price in self.stops if at <= instant]
        return moved[-1] if moved else self.plan.stop_price_ticks

    def exit_kind(self, leg: str | None) -> ExitKind | None:
        """What ended a trade whose last fill was of this leg; null for a foreign order."""
        match leg:
            case Leg.STOP:
                is_moved = self.stops[-1][1] != self.plan.stop_price_ticks
                return ExitKind.PROTECTED_STOP if is_moved else ExitKind.STOP
            case Leg.TARGET:
                return ExitKind.TARGET
            case Leg.FLATTEN:
                return self.asked_kind or ExitKind.KILL
            case _:
                return None

    def asked_at(self, instant: datetime) -> datetime | None:
        """When the market exit that filled at an instant was asked for; null if it was not."""
        return max((at for at in self.asked if at <= instant), default=None)

    def unprotected_seconds(self, opened_at: datetime, closed_at: datetime) -> float:
        """How long the position had no stop that was alive."""
        seconds, since, is_alive = 0.0, opened_at, False
        for at, alive in self.alive:
            now = min(max(at, since), closed_at)
            if not is_alive:
                seconds += (now - since).total_seconds()
            since, is_alive = now, alive
        return seconds if is_alive else seconds + (closed_at - since).total_seconds()


def conducts(events: Iterable[Event]) -> dict[str, Conduct]:
    """Every decision of a session that led to a plan, by its id."""
    reading = _Reading()
    for event in events:
        if event.kind in _READ:
            fact = fact_of(event)
            if fact is not None:
                reading.hear(fact)
    return reading.by_id


def opened_under(events: Iterable[Event]) -> Mapping[str, Standing]:
    """The standings under which a session was opened, the last time if it was opened again."""
    standings: Mapping[str, Standing] = {}
    for event in events:
        if event.kind == Kind.SESSION and isinstance(fact := fact_of(event), SessionOpened):
            standings = fact.standings
    return standings


class _Reading:
    """Folds the facts of a session; orders are followed by the desk's own tables."""

    def __init__(self) -> None:
        self.by_id: dict[str, Conduct] = {}
        self.orders = Orders()

    def hear(self, fact: Fact) -> None:
        match fact:
            case TradePlanned():
                plan = fact.plan
                stops = [(fact.at, plan.stop_price_ticks)]
                self.by_id[plan.decision_id] = Conduct(plan=plan, stops=stops)
            case StopMoved():
                if (conduct := self.by_id.get(fact.decision_id)) is not None:
                    conduct.stops.append((fact.at, fact.to_ticks))
            case TradeChanged():
                self._hear_change(fact)
            case IntentRecorded():
                self._hear_intent(fact)
            case OrderReported():
                self._hear_order(fact.ref, fact.event, fact.at)
            case CommandFailed():
                for ref in fact.refs:
                    self._hear_order(ref, OrderEvent.REJECTED, fact.at)
            case _:
                return

    def _hear_change(self, fact: TradeChanged) -> None:
        conduct = self.by_id.get(fact.decision_id)
        if conduct is not None and fact.event is TradeEvent.EXIT_REQUESTED:
            conduct.asked.append(fact.at)
            conduct.asked_kind = conduct.asked_kind or fact.exit_kind

    def _hear_intent(self, fact: IntentRecorded) -> None:
        # The position would only say which way a flattening trades, and nothing here asks that.
        self.orders = after_intent(self.orders, fact.command, fact.decision_id, 0, fact.at)
        conduct = self.by_id.get(fact.decision_id)
        if conduct is None:
            return
        if isinstance(fact.command, PlaceBracket):
            conduct.sent_at = fact.at
        elif isinstance(fact.command, FlattenPosition):
            conduct.asked.append(fact.at)
        self._note_alive(conduct, fact.at)

    def _hear_order(self, ref: OrderRef, event: OrderEvent, at: datetime) -> None:
        ours = read_ref(ref)
        conduct = None if ours is None else self.by_id.get(ours[0])
        before = self.orders
        self.orders = before.after_event(ref, event, at)
        if conduct is None:
            return
        if event is OrderEvent.REJECTED and self.orders is not before:
            conduct.rejects += 1
        self._note_alive(conduct, at)

    def _note_alive(self, conduct: Conduct, at: datetime) -> None:
        stops = self.orders.of(conduct.plan.decision_id, Leg.STOP)
        was_bare = bool(conduct.alive) and not conduct.alive[-1][1]
        # As the desk has it: one that was without is protected again by a stop that is confirmed.
        # One only on its way, or of which nothing is known, may be refused as the last one was.
        is_alive = any(stop.is_live and not (was_bare and stop.state in _UNHEARD) for stop in stops)
        if not conduct.alive or conduct.alive[-1][1] != is_alive:
            conduct.alive.append((at, is_alive))
