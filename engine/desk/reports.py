"""What the broker's reports lead to, its whole truth above all."""

from datetime import timedelta
from typing import assert_never

from engine.broker import (
    AccountReported,
    BrokerReport,
    BrokerSnapshot,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    Leg,
    OrderReported,
    PositionReported,
)
from engine.desk.care import repair, verify_flat
from engine.desk.facts import PositionAdopted, Reconciled
from engine.desk.trades import end_unfilled, follow, halt_at_limit
from engine.desk.turn import Turn
from engine.execution_quality import Trouble
from engine.kill import KillCause
from engine.orders import OrderState
from engine.reconciliation import CROSSED, Finding, FindingKind, findings, unheard
from engine.supervisor import Order, Orders, bracket
from engine.trade import TradeState

_TROUBLES = {
    OrderState.REJECTED: Trouble.REJECT,
    OrderState.PARTIAL: Trouble.PARTIAL,
    OrderState.UNKNOWN: Trouble.UNKNOWN_STATE,
}

_LEADS = {Leg.STOP: (Leg.ENTRY,), Leg.TARGET: (Leg.ENTRY, Leg.STOP)}

_SECOND_LOOK = {
    FindingKind.POSITION_DIFFERS: "the position differs",
    FindingKind.FILLED_ORDER_WORKS: "a filled order works",
}


def hear(turn: Turn, report: BrokerReport) -> None:
    """Book one report and what follows from it for orders, trade and picture."""
    match report:
        case OrderReported():
            _hear_order(turn, report)
            order = turn.state.orders.find(report.ref)
            if order is None or not order.is_live:  # A trade goes by fills and ended orders.
                follow(turn)
        case ExecutionReported():
            _book(turn, report)
            follow(turn)
        case CommissionReported():
            _book(turn, report)
        case AccountReported():
            turn.note(report)
        case PositionReported():
            turn.note(report)
            session = turn.state.session
            is_ours = session is not None and report.symbol == session.symbol
            if is_ours and report.quantity != turn.state.position:
                turn.ask("the position differs")
        case ConnectionReported():
            _hear_connection(turn, report)
        case BrokerSnapshot():
            _hear_snapshot(turn, report)
        case _:
            assert_never(report)


def _book(turn: Turn, report: ExecutionReported | CommissionReported) -> None:
    """Book what was traded or charged; a correction may bring the day's result to its limit."""
    before = turn.state.risk
    turn.note(report)
    if turn.state.risk is not before:
        halt_at_limit(turn)


def _hear_order(turn: Turn, report: OrderReported) -> None:
    before = turn.state.orders.find(report.ref)
    turn.note(report)
    after = turn.state.orders.find(report.ref)
    if before is None or after is None:
        turn.ask("an order nobody knows")
        return
    trouble = _TROUBLES.get(after.state)
    if trouble is None or after.state is before.state:
        return
    is_refused_as_sent = trouble is Trouble.REJECT and before.state is OrderState.SENT
    if not (is_refused_as_sent and _is_refused_with_another(turn.state.orders, after)):
        turn.trouble(trouble, f"{after.ref}: {report.text or report.event.value}")
    if trouble is Trouble.UNKNOWN_STATE:
        turn.ask("an order is lost")


def _is_refused_with_another(orders: Orders, order: Order) -> bool:
    """Whether what it was sent with is refused as a whole: one trouble, not three.

    The entry speaks for its bracket, and a stop for the target that was sent with it.
    """
    leads = _LEADS.get(order.leg, ())
    return any(
        lead.sent_at == order.sent_at and lead.state in (OrderState.SENT, OrderState.REJECTED)
        for lead in orders.of(order.decision_id)
        if lead.leg in leads
    )


def _hear_connection(turn: Turn, report: ConnectionReported) -> None:
    was_up = turn.state.down_since is None
    turn.note(report)
    if report.state is ConnectionState.UP:
        turn.ask("reconnected", at_once=True)
    elif was_up:
        turn.trouble(Trouble.DISCONNECT, report.text or "the connection was lost")


def _hear_snapshot(turn: Turn, snapshot: BrokerSnapshot) -> None:
    """Reconcile: hear what was not told, repair what may be repaired, kill for the rest."""
    session = turn.state.session
    query = turn.state.query
    turn.note(snapshot)
    if session is None:
        return
    rules = turn.rules.execution
    for report in unheard(turn.state.orders, turn.state.ledger, snapshot, rules):
        if isinstance(report, OrderReported):
            _hear_order(turn, report)
        else:
            _book(turn, report)
    follow(turn)
    state = turn.state
    found = findings(
        state.orders, state.ledger, state.trade, snapshot, symbol=session.symbol, rules=rules
    )
    differs_before = state.differs_since is not None
    cause = "unasked" if query is None else query.cause
    turn.note(Reconciled(at=turn.at, cause=cause, findings=found))
    held = sum(p.quantity for p in snapshot.positions if p.symbol == session.symbol)
    is_first_look = not differs_before and any(each.kind in CROSSED for each in found)
    for finding in found:
        # What crossed the question may also be why something seems to be missing or left over.
        if not (finding.is_repairable and is_first_look):
            _answer(turn, finding, held, differs_before=differs_before)
    _enter(turn, is_clean=not found)
    works = any(order.symbol == session.symbol for order in snapshot.working)
    verify_flat(turn, is_flat=not held and not works)


def _answer(turn: Turn, finding: Finding, held: int, *, differs_before: bool) -> None:
    if finding.is_repairable:
        repair(turn, finding)
    elif finding.kind in CROSSED and not differs_before:
        turn.ask(_SECOND_LOOK[finding.kind], at_once=True)
    elif finding.kind is not FindingKind.POSITION_DIFFERS:
        if not turn.state.kill.is_killed:
            turn.kill(KillCause.STATE_DESYNC, finding.text)
    else:
        turn.note(PositionAdopted(at=turn.at, expected=turn.state.position, found=held))
        if not turn.state.kill.is_killed:
            turn.kill(KillCause.UNEXPECTED_POSITION, finding.text)


def _enter(turn: Turn, *, is_clean: bool) -> None:
    """Send the bracket that waited for this reconciliation, or drop the plan."""
    state = turn.state
    trade, session = state.trade, state.session
    if trade is None or session is None or trade.state is not TradeState.PENDING:
        return
    if state.orders.of(trade.plan.decision_id, Leg.ENTRY):
        return
    life = timedelta(seconds=turn.rules.execution.entry_life_seconds)
    is_fresh = turn.at - trade.plan.decided_at < life
    if not (is_clean and is_fresh and state.is_feed_live and state.kill.is_running):
        end_unfilled(turn)
        return
    command = bracket(
        trade.plan,
        session.session_date,
        state.orders,
        at=trade.plan.decided_at,
        rules=turn.rules.execution,
    )
    turn.send(command, trade.plan.decision_id)
