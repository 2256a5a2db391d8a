"""An auditor's own books: round trips and results, counted from the exchange's executions alone.

Nothing here is the desk's code, so that a bug of the desk's counting is not counted along.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from engine.broker import BrokerSnapshot, ExecutionReported, Leg
from engine.rules import Rules
from engine.units import OrderRef

OUR_REF_PARTS = 3


class Trip(NamedTuple):
    """One decision's executions: when it first filled, its result if flat again, and its lots."""

    decision_id: str
    has_entry: bool
    opened_at: datetime
    closed_at: datetime
    lots: int
    net_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Results net of fees of the running session and of those before it, and its entries."""

    entered_at: tuple[datetime, ...]
    net_usd_today: Decimal
    net_usd_this_week: Decimal
    net_usd_this_month: Decimal
    losses_today: int
    loss_streak: int


def is_ours(ref: OrderRef) -> bool:
    """Whether a ref is written as the desk writes them."""
    return ref.count("/") == OUR_REF_PARTS - 1


def held_lots(truth: BrokerSnapshot) -> int:
    """Contracts held on the account, whoever put them there; short is negative."""
    return sum(position.quantity for position in truth.positions)


def trips_of(executions: Iterable[ExecutionReported], rules: Rules) -> list[Trip]:
    """Round trips in the order in which they were closed, one per decision."""
    by_decision: dict[str, list[ExecutionReported]] = {}
    for fill in executions:
        if is_ours(fill.ref):
            by_decision.setdefault(fill.ref.split("/")[1], []).append(fill)
    fee_usd, instrument = rules.instrument.fees.per_side_usd, rules.instrument
    trips = []
    for decision_id, fills in by_decision.items():
        gross_ticks = -sum(f.side * f.quantity * f.price_ticks for f in fills)
        trips.append(
            Trip(
                decision_id=decision_id,
                has_entry=any(f.ref.endswith(f"/{Leg.ENTRY}") for f in fills),
                opened_at=fills[0].at,
                closed_at=fills[-1].at,
                lots=sum(f.side * f.quantity for f in fills),
                net_usd=gross_ticks * instrument.tick_value_usd
                - fee_usd * sum(f.quantity for f in fills),
            )
        )
    return sorted(trips, key=lambda trip: trip.closed_at)


def books_of(trips_by_day: Mapping[date, list[Trip]], today: date) -> Books:
    """What the trips of some sessions add up to; those of `today` may still be open."""
    entered = [trip for trip in trips_by_day.get(today, []) if trip.has_entry]
    done = {
        day: [trip.net_usd for trip in trips if trip.has_entry and trip.lots == 0]
        for day, trips in trips_by_day.items()
    }
    week, month = today.isocalendar()[:2], (today.year, today.month)
    streak = 0
    for day in sorted(done):
        for net_usd in done[day]:
            streak = streak + 1 if net_usd < 0 else 0
    return Books(
        entered_at=tuple(sorted(trip.opened_at for trip in entered)),
        net_usd_today=sum(done.get(today, ()), Decimal(0)),
        net_usd_this_week=_total(done, lambda day: day.isocalendar()[:2] == week),
        net_usd_this_month=_total(done, lambda day: (day.year, day.month) == month),
        losses_today=sum(net_usd < 0 for net_usd in done.get(today, ())),
        loss_streak=streak,
    )


def _total(done: Mapping[date, list[Decimal]], is_counted: Callable[[date], bool]) -> Decimal:
    return sum((net for day, nets in done.items() if is_counted(day) for net in nets), Decimal(0))
