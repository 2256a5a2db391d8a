"""What has to hold for every single step of the desk."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from engine.broker import (
    AccountReported,
    BrokerSnapshot,
    ConnectionReported,
    ConnectionState,
    Leg,
    OrderEvent,
    OrderReported,
)
from engine.desk import BarClosed, DeskState, Input, OperatorCommanded, OperatorVerb, fact_of
from engine.journal import Event, Kind
from engine.rules import Rules
from engine.trade import StopMoved, TradeState
from pipelines.campaign.law import Law


class StepSeen(NamedTuple):
    """One step: what came in, the state before and after it, and what it left on disk."""

    before: DeskState
    happened: Input
    after: DeskState
    events: Sequence[Event]
    rules: Rules


def kill_ends_by_a_person_alone(seen: StepSeen) -> str | None:
    """KILLED is left by a person with a reason, once the broker was seen flat; by nothing else."""
    if not seen.before.kill.is_killed or seen.after.kill.is_killed:
        return None
    happened = seen.happened
    if not isinstance(happened, OperatorCommanded) or happened.verb is not OperatorVerb.RESUME:
        return f"left by {type(happened).__name__}"
    if not happened.reason.strip():
        return "resumed without a reason"
    if not seen.before.kill.is_flat_verified or seen.before.is_exposed:
        return "resumed before the broker was seen flat"
    return None


def trouble_costs_quality(seen: StepSeen) -> str | None:
    """A rejected entry and a lost connection lower the execution quality score at once."""
    happened, before, after = seen.happened, seen.before, seen.after
    if isinstance(happened, ConnectionReported):
        is_new = happened.state is ConnectionState.DOWN and before.down_since is None
    elif isinstance(happened, OrderReported) and happened.event is OrderEvent.REJECTED:
        order = before.orders.find(happened.ref)
        is_new = order is not None and order.is_live and order.leg is Leg.ENTRY
    else:
        return None
    number = before.bar_number(max(happened.at, before.last_bar_at or happened.at))
    law = seen.rules.execution
    score = before.quality.eqs(number, law)
    if is_new and score > 0 and after.quality.eqs(number, law) >= score:
        return f"{type(happened).__name__} {happened.text!r} cost nothing"
    return None


def cancel_is_not_believed(seen: StepSeen) -> str | None:
    """An order that we asked to end is on its way out, and ended only when the broker says so."""
    if isinstance(seen.happened, OrderReported) or not seen.events:
        return None
    for order in seen.after.orders.all:
        earlier = seen.before.orders.find(order.ref)
        if earlier is not None and earlier.is_live and not order.is_live:
            is_told = any(event.order_ref == order.ref for event in seen.events)
            is_answer = any(
                event.kind in (Kind.RECONCILIATION, Kind.ERROR) for event in seen.events
            )
            if not is_told and not is_answer:
                return f"{order.ref} went from {earlier.state.value} to {order.state.value} untold"
    return None


def limit_is_a_halt(seen: StepSeen) -> str | None:
    """A day whose realised loss has reached its limit leaves no running desk."""
    limit = seen.rules.constitution.loss_usd_per_day_max
    is_closed = any(
        event.kind == Kind.TRADE and '"fact":"TradeClosed"' in event.payload
        for event in seen.events
    )
    if is_closed and -seen.after.risk.net_usd_today >= limit and seen.after.kill.is_running:
        return f"{seen.after.risk.net_usd_today} today and running"
    return None


def flat_is_the_brokers_word(seen: StepSeen) -> str | None:
    """After a kill it is the broker's whole truth that says flat, and nothing of our own."""
    for event in seen.events:
        if event.kind == Kind.KILL and '"fact":"FlatVerified"' in event.payload:
            truth = seen.happened
            if not isinstance(truth, BrokerSnapshot) or truth.positions or truth.working:
                return f"called flat after {type(truth).__name__}"
    return None


def strange_orders_kill(seen: StepSeen) -> str | None:
    """A broker's truth with a working order that nobody knows is a desync: the desk is killed."""
    truth = seen.happened
    if not isinstance(truth, BrokerSnapshot) or seen.before.session is None:
        return None
    strange = [o.ref for o in truth.working if seen.after.orders.find(o.ref) is None]
    return (
        f"{strange} work, and the desk runs" if strange and not seen.after.kill.is_killed else None
    )


def stop_moves_toward_profit(seen: StepSeen) -> str | None:
    """A stop is only ever moved toward profit."""
    trade = seen.before.trade
    for event in seen.events:
        if event.kind != Kind.TRADE or '"fact":"StopMoved"' not in event.payload:
            continue
        fact = fact_of(event)
        if isinstance(fact, StopMoved) and trade is not None:
            gained = trade.plan.side * (fact.to_ticks - trade.stop_price_ticks)
            if gained <= 0:
                return f"the stop of {fact.decision_id} moved {-gained} ticks away from profit"
    return None


def person_is_obeyed(seen: StepSeen) -> str | None:
    """A person's kill kills, a halt leaves no running desk, a flattening no trade that stays."""
    happened, after = seen.happened, seen.after
    if not isinstance(happened, OperatorCommanded):
        return None
    trade = after.trade
    is_ignored = {
        OperatorVerb.KILL: not after.kill.is_killed,
        OperatorVerb.HALT: after.kill.is_running,
        OperatorVerb.FLATTEN: trade is not None and trade.state is not TradeState.CLOSING,
    }
    return f"told to {happened.verb}, and did not" if is_ignored.get(happened.verb) else None


def bad_quality_kills(seen: StepSeen) -> str | None:
    """Data too bad at a bar, and negative funds, leave a killed desk."""
    happened, law = seen.happened, seen.rules.constitution
    if seen.after.kill.is_killed:
        return None
    if isinstance(happened, BarClosed) and happened.row.dvs < law.dvs_kill_below:
        return f"DVS {happened.row.dvs}, and not killed"
    if isinstance(happened, AccountReported):
        funds_usd = happened.available_funds_usd
        if funds_usd is not None and funds_usd < 0:
            return f"available funds of {funds_usd}, and not killed"
    return None


STEP_LAWS: Final[tuple[Law[StepSeen], ...]] = (
    kill_ends_by_a_person_alone,
    trouble_costs_quality,
    cancel_is_not_believed,
    limit_is_a_halt,
    flat_is_the_brokers_word,
    strange_orders_kill,
    stop_moves_toward_profit,
    person_is_obeyed,
    bad_quality_kills,
)
