"""What has to hold for a session that is over."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from engine.broker import BrokerSnapshot
from engine.desk import DeskState, fact_of
from engine.desk.facts import IntentRecorded
from engine.journal import Broken, Event, Head, Kind, verify
from engine.market import MarketRow
from engine.rules import Rules
from engine.units import OrderRef
from pipelines.campaign.audit import Books, held_lots, is_ours
from pipelines.campaign.law import Law

SLIPPAGE_ALLOWANCE_USD: Final = Decimal("15.00")
"""How far a day may end beyond its limit: one exit that pays `slippage_ticks_max` on a market that
has moved as far again since it was asked for (6 + 6 ticks of $1.25)."""


class DaySeen(NamedTuple):
    """A session that was played, settled without faults, and closed.

    `cash_usd` is what the exchange's account moved by, `books` are null once another hand traded.
    """

    at: datetime
    rows: Sequence[MarketRow]
    events: Sequence[Event]
    state: DeskState
    folded: DeskState
    truth: BrokerSnapshot
    sent_refs: Counter[OrderRef]
    cash_usd: Decimal
    books: Books | None
    previous: Head
    rules: Rules


def chain_is_whole(seen: DaySeen) -> str | None:
    """The journal's chain of hashes holds."""
    result = verify(seen.events, start=seen.previous)
    return result.text if isinstance(result, Broken) else None


def fold_is_the_live_state(seen: DaySeen) -> str | None:
    """What the journal folds to is what the desk knows."""
    return differences(seen.folded, seen.state)


def differences(folded: DeskState, live: DeskState) -> str | None:
    """The fields in which two states differ, in words; null if none."""
    if folded == live:
        return None
    names = [name for name, a, b in zip(DeskState._fields, folded, live, strict=True) if a != b]
    return f"the fold differs in {', '.join(names)}"


def every_bar_has_one_decision(seen: DaySeen) -> str | None:
    """Exactly one bar and one decision record for each bar that closed, in order."""
    wanted = [row.closes_at for row in seen.rows]
    for kind in (Kind.BAR, Kind.DECISION):
        told = [datetime.fromisoformat(e.at) for e in seen.events if e.kind == kind]
        if told != wanted:
            extra = Counter(told) - Counter(wanted) or Counter(wanted) - Counter(told)
            return f"{len(told)} {kind.value} records for {len(wanted)} bars; first {min(extra)}"
    return None


def every_order_has_its_decision(seen: DaySeen) -> str | None:
    """An entry belongs to a decision to enter, and that decision to its bar."""
    bars = {event.at for event in seen.events if event.kind == Kind.BAR}
    entered = {
        event.decision_id: event.at
        for event in seen.events
        if event.kind == Kind.DECISION and '"action":"ENTER"' in event.payload
    }
    for event in seen.events:
        if event.kind != Kind.INTENT or "PlaceBracket" not in event.payload:
            continue
        fact = fact_of(event)
        if isinstance(fact, IntentRecorded) and entered.get(fact.decision_id) not in bars:
            return f"an order of {fact.decision_id}, which no bar decided"
    return None


def no_ref_is_sent_twice(seen: DaySeen) -> str | None:
    """No order ref reaches the broker a second time."""
    ref, count = max(seen.sent_refs.items(), key=lambda item: item[1], default=("", 0))
    return f"{ref} was sent {count} times" if count > 1 else None


def the_end_is_flat(seen: DaySeen) -> str | None:
    """Once the exchange lets us: nothing held, nothing working, no trade, and a kill seen flat."""
    held = held_lots(seen.truth)
    ours = [order.ref for order in seen.truth.working if order.ref and is_ours(order.ref)]
    if held or ours:
        return f"{held} held and {ours} working after the close ({seen.state.kill.state.value})"
    if seen.state.trade is not None:
        return f"flat, and {seen.state.trade.plan.decision_id} is {seen.state.trade.state.value}"
    kill = seen.state.kill
    return "killed, and never seen flat" if kill.is_killed and not kill.is_flat_verified else None


def ledger_is_the_cash(seen: DaySeen) -> str | None:
    """What the desk has counted of the day is what the account moved by, whoever traded."""
    counted = seen.state.risk.net_usd_today
    return f"counted {counted}, paid {seen.cash_usd}" if counted != seen.cash_usd else None


def loss_is_within_the_day(seen: DaySeen) -> str | None:
    """The day's loss is within its limit, but for the stated slippage allowance."""
    least = -seen.rules.constitution.loss_usd_per_day_max - SLIPPAGE_ALLOWANCE_USD
    if seen.books is None or seen.cash_usd >= least:
        return None
    return f"{seen.cash_usd} on one day"


DAY_LAWS: Final[tuple[Law[DaySeen], ...]] = (
    chain_is_whole,
    fold_is_the_live_state,
    every_bar_has_one_decision,
    every_order_has_its_decision,
    no_ref_is_sent_twice,
    the_end_is_flat,
    ledger_is_the_cash,
    loss_is_within_the_day,
)
