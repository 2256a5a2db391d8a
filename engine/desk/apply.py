"""How each fact changes the state. It books what happened and never decides anything again."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Final, assert_never

from engine.broker import (
    AccountReported,
    BrokerSnapshot,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    FeedReported,
    Leg,
    OrderEvent,
    OrderReported,
    PositionReported,
    QueryBroker,
)
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
from engine.desk.state import EMPTY, DeskState, OpenQuery
from engine.errors import JournalError
from engine.kill import FlatVerified, KillChanged, KillEvent, apply_change
from engine.ledger import flow_ticks_of, lots_of
from engine.orders import OrderState
from engine.reconciliation import CROSSED
from engine.rules import Rules
from engine.strategies.protocol import TemplateSummary, TradeResult
from engine.strategies.registry import template
from engine.supervisor import UNACKNOWLEDGED, Orders, after_intent
from engine.trade import (
    StopMoved,
    Trade,
    TradeChanged,
    TradeClosed,
    TradePlanned,
    TradeState,
    apply_changed,
)

BAR: Final = timedelta(minutes=1)
_UNHEARD: Final = UNACKNOWLEDGED | {OrderState.UNKNOWN}


def fold(facts: Iterable[Fact | None], rules: Rules, start: DeskState = EMPTY) -> DeskState:
    """The state after these facts; decisions are null here and change nothing."""
    return reduce(
        lambda state, fact: state if fact is None else apply(state, fact, rules), facts, start
    )


def apply(state: DeskState, fact: Fact, rules: Rules) -> DeskState:
    """The state after one fact. It books what happened, and never decides anything again."""
    changed = _apply(state, fact, rules)
    if changed.kill.is_killed and changed.kill.is_flat_verified and changed.is_exposed:
        # The broker's word of flat was about the moment it was given.
        changed = changed._replace(kill=replace(changed.kill, is_flat_verified=False))
    if changed.trade is None and changed.unprotected_since is None:
        return changed
    since = _unprotected_since(changed, fact.at)
    if since == changed.unprotected_since:
        return changed
    return changed._replace(unprotected_since=since)


def _apply(state: DeskState, fact: Fact, rules: Rules) -> DeskState:
    match fact:
        case OrderReported() | ExecutionReported() | CommissionReported() | CommandFailed():
            return _after_order_report(state, fact, rules)
        case AccountReported():
            return state._replace(account=fact)
        case BarSeen():
            return _after_bar(state, fact)
        case SessionOpened():
            return _opened(state, fact, rules)
        case IntentRecorded():
            return _after_intent(state, fact)
        case TradePlanned() | TradeChanged() | StopMoved() | TradeClosed():
            return _after_trade_fact(state, fact, rules)
        case ConnectionReported():
            is_up = fact.state is ConnectionState.UP
            return state._replace(down_since=None if is_up else state.down_since or fact.at)
        case FeedReported():
            return state._replace(feed=fact)
        case Reconciled():
            differs = any(found.kind in CROSSED for found in fact.findings)
            since = (state.differs_since or fact.at) if differs else None
            return state._replace(reconciled_at=fact.at, differs_since=since)
        case BrokerSnapshot():
            return state._replace(query=None)
        case PositionAdopted():
            missing = fact.found - state.position
            ledger = replace(state.ledger, carried=state.ledger.carried + missing)
            return state._replace(ledger=ledger)
        case OutsideResultCounted():
            risk = state.risk.corrected(fact.net_usd)
            return state._replace(risk=risk, ledger=state.ledger.with_counted(fact.execution_ids))
        case TroubleNoted():
            return state._replace(quality=state.quality.impaired(fact.trouble, fact.bar_number))
        case KillChanged():
            is_again = state.kill.is_killed and fact.event is KillEvent.TRIGGERED
            alerted_at = fact.at if is_again else state.alerted_at
            return state._replace(kill=apply_change(state.kill, fact), alerted_at=alerted_at)
        case FlatVerified():
            return state._replace(kill=replace(state.kill, is_flat_verified=True))
        case DataQualityChanged():
            return state._replace(dvs_level=fact.level)
        case AlertRaised():
            return state._replace(alerted_at=fact.at)
        case (
            SessionClosed()
            | PositionReported()
            | OperatorCommanded()
            | OperatorRefused()
            | ClockTicked()
            | LoopFailed()
        ):
            return state
        case _:
            assert_never(fact)


def _after_bar(state: DeskState, fact: BarSeen) -> DeskState:
    trade = state.trade
    if trade is not None:
        minute_ago = fact.at - BAR
        trade = trade.after_bar(minute_ago, fact.high_ticks, fact.low_ticks, fact.close_ticks)
    return state._replace(last_bar_at=fact.at, trade=trade)


def _opened(state: DeskState, fact: SessionOpened, rules: Rules) -> DeskState:
    """A new session starts clean, unless something of the last one is still alive."""
    before = state.session
    state = state._replace(session=fact, risk=state.risk.new_session(fact.session_date))
    if before is None or before.session_date == fact.session_date:
        return state
    number = state.bars_before + before.minutes
    state = state._replace(
        bars_before=number,
        account=None,
        quality=state.quality.pruned(number, rules.execution),
        reconciled_at=None,
        ended_trade=None,
    )
    if state.is_exposed or state.trade is not None:
        return state
    return state._replace(orders=Orders(), ledger=state.ledger.settled_up())


def _after_intent(state: DeskState, fact: IntentRecorded) -> DeskState:
    if isinstance(fact.command, QueryBroker):
        return state._replace(query=OpenQuery(fact.at, fact.command.cause))
    orders = after_intent(state.orders, fact.command, fact.decision_id, state.position, fact.at)
    return state._replace(orders=orders)


def _after_trade_fact(
    state: DeskState,
    fact: TradePlanned | TradeChanged | StopMoved | TradeClosed,
    rules: Rules,
) -> DeskState:
    if isinstance(fact, TradePlanned):
        plan = fact.plan
        planned = Trade(plan=plan, state=TradeState.PENDING, stop_price_ticks=plan.stop_price_ticks)
        return state._replace(trade=planned, orders=_todays(state))
    trade = state.trade or state.ended_trade
    if trade is None or trade.plan.decision_id != fact.decision_id:
        raise JournalError(
            f"expected the trade {fact.decision_id}, the state holds "
            f"{None if trade is None else trade.plan.decision_id}; an event before it is missing"
        )
    match fact:
        case TradeChanged():
            changed = apply_changed(trade, fact)
            is_entry = trade.entry is None and changed.entry is not None
            risk = state.risk.entered(fact.at) if is_entry else state.risk
            return state._replace(trade=changed, risk=risk)
        case StopMoved():
            return state._replace(trade=replace(trade, stop_price_ticks=fact.to_ticks))
        case TradeClosed():
            state = state._replace(trade=None, ended_trade=trade)
            return state if trade.entry is None else _after_result(state, trade, fact, rules)
        case _:
            assert_never(fact)


def _todays(state: DeskState) -> Orders:
    """The orders without the ended ones of a trade that was carried over a night.

    A decision is named after its minute: one of theirs may have the name of today's.
    """
    day = "" if state.session is None else f"{state.session.session_date.isoformat()}/"
    kept = [order for order in state.orders.all if order.is_live or order.ref.startswith(day)]
    return state.orders if len(kept) == len(state.orders.all) else Orders(all=tuple(kept))


def _after_result(state: DeskState, trade: Trade, fact: TradeClosed, rules: Rules) -> DeskState:
    """A round trip counts in the limits and in its template's summary."""
    name = fact.template
    result = TradeResult(
        template=name,
        stop_distance_ticks=trade.plan.stop_distance_ticks,
        net_ticks=float(fact.net_usd / rules.instrument.tick_value_usd),
    )
    before = state.summaries.get(name) or TemplateSummary(template=name)
    summary = template(name, rules).post_trade_update(before, result)
    fills = state.fills_of_trade(fact.decision_id)
    return state._replace(
        risk=state.risk.closed(fact.net_usd),
        summaries={**state.summaries, name: summary},
        ledger=state.ledger.with_counted(fill.execution_id for fill in fills),
    )


def _after_order_report(
    state: DeskState,
    fact: OrderReported | ExecutionReported | CommissionReported | CommandFailed,
    rules: Rules,
) -> DeskState:
    match fact:
        case OrderReported():
            return state._replace(orders=state.orders.after_event(fact.ref, fact.event, fact.at))
        case ExecutionReported():
            return _after_execution(state, fact, rules)
        case CommissionReported():
            return _after_commission(state, fact, rules)
        case CommandFailed():
            orders = state.orders
            for ref in fact.refs:
                orders = orders.after_event(ref, OrderEvent.REJECTED, fact.at)
            return state._replace(orders=orders)
        case _:
            assert_never(fact)


def _after_execution(state: DeskState, fact: ExecutionReported, rules: Rules) -> DeskState:
    """Book the fill, and let it speak for the order's state when nobody else does.

    A later word on a fill whose result was counted corrects that result.
    """
    ledger = state.ledger.with_execution(fact)
    corrected = state.ledger.corrected_by(fact)
    if ledger is not state.ledger and corrected and ledger.is_counted(fact.execution_id):
        is_same_size = lots_of(corrected) == lots_of((fact,))
        ticks = flow_ticks_of((fact,)) - flow_ticks_of(corrected) if is_same_size else 0
        state = state._replace(risk=state.risk.corrected(rules.instrument.to_usd(ticks)))
    order = state.orders.find(fact.ref)
    if ledger is state.ledger or order is None:
        return state._replace(ledger=ledger)
    filled = sum(fill.quantity for fill in ledger.fills_of((fact.ref,)))
    event = OrderEvent.FILLED if filled >= order.quantity else OrderEvent.PARTIALLY_FILLED
    return state._replace(ledger=ledger, orders=state.orders.after_event(fact.ref, event, fact.at))


def _after_commission(state: DeskState, fact: CommissionReported, rules: Rules) -> DeskState:
    """Book the commission; where a result was counted with an estimate, correct it."""
    known = state.ledger.commissions_usd
    ledger = state.ledger.with_commission(fact.execution_id, fact.commission_usd)
    risk = state.risk
    if fact.execution_id not in known and ledger.is_counted(fact.execution_id):
        fills = [f for f in ledger.executions if f.execution_id == fact.execution_id]
        per_side_usd = rules.instrument.fees.per_side_usd
        estimated_usd = state.ledger.fees_usd(fills, per_side_usd)
        risk = risk.corrected(estimated_usd - ledger.fees_usd(fills, per_side_usd))
    return state._replace(ledger=ledger, risk=risk)


def _unprotected_since(state: DeskState, at: datetime) -> datetime | None:
    """Since when an open trade has had no stop that is alive; null while it has one.

    One that was without is protected again once the broker has acknowledged its stop.
    """
    trade = state.trade
    if trade is None or trade.state is not TradeState.OPEN or state.position == 0:
        return None
    stops = state.orders.of(trade.plan.decision_id, Leg.STOP)
    if state.unprotected_since is None:
        return None if any(order.is_live for order in stops) else at
    # A stop that is only on its way may be refused as the last one was.
    is_back = any(order.is_live and order.state not in _UNHEARD for order in stops)
    return None if is_back else state.unprotected_since
