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
from engine.desk.trades import end_unfilled, follow
from engine.desk.turn import Turn
from engine.execution_quality import Trouble
from engine.kill import KillCause
from engine.orders import OrderState
from engine.reconciliation import CROSSED, Finding, FindingKind, findings, unheard
from engine.supervisor import bracket
from engine.trade import TradeState

_TROUBLES = {
    OrderState.REJECTED: Trouble.REJECT,
    OrderState.PARTIAL: Trouble.PARTIAL,
    OrderState.UNKNOWN: Trouble.UNKNOWN_STATE,
}

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
            turn.note(report)
            follow(turn)
        case CommissionReported() | AccountReported():
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
    # A bracket is refused as a whole: one trouble, not three.
    has_entry = bool(turn.state.orders.of(after.decision_id, Leg.ENTRY))
    is_child = after.leg in (Leg.STOP, Leg.TARGET) and before.state is OrderState.SENT
    if not (is_child and has_entry and trouble is Trouble.REJECT):
        turn.trouble(trouble, f"{after.ref}: {report.text or report.event.value}")
    if trouble is Trouble.UNKNOWN_STATE:
        turn.ask("an order is lost")


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
            turn.note(report)
    follow(turn)
    state = turn.state
    found = findings(
        state.orders, state.ledger, state.trade, snapshot, symbol=session.symbol, rules=rules
    )
    differs_before = state.differs_since is not None
    cause = "unasked" if query is None else query.cause
    turn.note(Reconciled(at=turn.at, cause=cause, findings=found))
    for finding in found:
        _answer(turn, finding, snapshot, differs_before=differs_before)
    _enter(turn, is_clean=not found)
    is_flat = not any(p.quantity for p in snapshot.positions) and not snapshot.working
    verify_flat(turn, is_flat=is_flat)


def _answer(
    turn: Turn, finding: Finding, snapshot: BrokerSnapshot, *, differs_before: bool
) -> None:
    if finding.is_repairable:
        repair(turn, finding)
    elif finding.kind in CROSSED and not differs_before:
        turn.ask(_SECOND_LOOK[finding.kind], at_once=True)
    elif finding.kind is not FindingKind.POSITION_DIFFERS:
        if not turn.state.kill.is_killed:
            turn.kill(KillCause.STATE_DESYNC, finding.text)
    else:
        held = sum(position.quantity for position in snapshot.positions)
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
