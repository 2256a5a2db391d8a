"""What the desk does unasked after every input: triggers, flattening, protection, repairs."""

from datetime import datetime, timedelta

from engine.broker import CancelOrder, Leg, OrderEvent, OrderReported, ReplaceStop
from engine.desk.facts import AlertRaised
from engine.desk.state import DeskState
from engine.desk.trades import end_unfilled, move
from engine.desk.turn import Turn, is_within
from engine.execution_quality import Trouble
from engine.kill import (
    FlatVerified,
    KillCause,
    connection_trigger,
    margin_trigger,
    position_trigger,
)
from engine.ledger import lots_of
from engine.orders import OrderState
from engine.reconciliation import Finding, FindingKind
from engine.rules import Rules
from engine.supervisor import (
    Order,
    overdue_entries,
    protection,
    unacknowledged,
    unknown_for_too_long,
)
from engine.trade import ExitKind, Trade, TradeEvent, TradeState


def take_care(turn: Turn) -> None:
    """Everything that must follow from where the desk now stands, whatever brought it there."""
    if not turn.state.kill.is_killed:
        trigger = _trigger(turn)
        if trigger is not None:
            turn.kill(*trigger)
    if turn.state.kill.is_killed:
        _request_exit(turn, ExitKind.KILL)
        _bring_flat(turn)
        return
    trade = turn.state.trade
    if trade is not None and trade.state is TradeState.CLOSING:
        _bring_flat(turn)
    elif turn.state.unprotected_since is not None:
        turn.ask("no stop is alive")
    elif trade is not None and trade.entry is None and _is_fill_missing(turn, trade):
        turn.ask("a fill was not told")


def tick(turn: Turn) -> None:
    """What time alone makes due."""
    at, law, state = turn.at, turn.rules.execution, turn.state
    for order in unacknowledged(state.orders, at, law):
        _lose_track(turn, order, "never acknowledged")
    for order in overdue_entries(state.orders, at):
        _end_overdue(turn, order)
    _give_up_waiting(turn)
    _flatten_without_a_bar(turn)
    query = state.query
    if query is not None and at - query.at >= _again(turn):
        # Believed flat or not: what was asked has a reason, and no answer is not 'nothing there'.
        turn.ask(query.cause)
    due = timedelta(seconds=law.reconcile_seconds)
    since = state.reconciled_at
    is_old = since is None or at - since >= due
    if (state.is_exposed and is_old) or _is_long_unseen(state, at, turn.rules):
        turn.ask("routine")


def _lose_track(turn: Turn, order: Order, text: str) -> None:
    lost = OrderReported(at=turn.at, ref=order.ref, event=OrderEvent.LOST_TRACK, text=text)
    turn.note(lost)
    if order.leg is not Leg.TARGET:
        turn.trouble(Trouble.UNKNOWN_STATE, f"{order.ref} was {text}")


def _end_overdue(turn: Turn, order: Order) -> None:
    """Cancel an entry past its life; one whose cancel nobody answers is lost, and asked about."""
    if order.state is not OrderState.CANCELLING:
        turn.send(CancelOrder(ref=order.ref), order.decision_id)
    elif turn.at - order.changed_at >= _again(turn):
        _lose_track(turn, order, "never seen cancelled")
        turn.ask("an order is lost")


def cancel_entries(turn: Turn) -> None:
    """End the entries that still work: nothing new is to be held."""
    for order in turn.state.orders.live:
        if order.leg is Leg.ENTRY and order.state is not OrderState.CANCELLING:
            turn.send(CancelOrder(ref=order.ref), order.decision_id)


def _flatten_without_a_bar(turn: Turn) -> None:
    """At the flatten time the bar has the first word; where none comes, the clock has it."""
    state, session = turn.state, turn.state.session
    if session is None or state.kill.is_killed or not (state.trade or state.is_exposed):
        return
    minutes = turn.rules.session.flatten_minutes_before_end
    if turn.at >= session.closes_at - timedelta(minutes=minutes) + _again(turn):
        close_trade(turn, ExitKind.FLATTEN_TIME)


def is_due(state: DeskState, at: datetime, rules: Rules) -> bool:
    """Whether a tick could change anything."""
    return awaits(state) or _is_long_unseen(state, at, rules)


def awaits(state: DeskState) -> bool:
    """Whether time alone may bring something about; not for one that holds and awaits nothing."""
    return (
        state.trade is not None
        or state.down_since is not None
        or state.query is not None
        or (state.kill.is_killed and not state.kill.is_flat_verified)
        or state.is_exposed
    )


def _is_long_unseen(state: DeskState, at: datetime, rules: Rules) -> bool:
    """Whether even a desk that believes it is flat should look: a report of a trade may be lost.

    Past the flatten time it looks as often as one that holds: what nobody told it of has to be
    found while it can still be closed.
    """
    session, since, law = state.session, state.reconciled_at, rules.execution
    if session is None or since is None or at >= session.closes_at:
        return False
    seconds = (at - since).total_seconds()
    if seconds >= law.reconcile_flat_seconds:
        return True
    closing = timedelta(minutes=rules.session.flatten_minutes_before_end)
    return seconds >= law.reconcile_seconds and session.closes_at - at <= closing


def _trigger(turn: Turn) -> tuple[KillCause, str] | None:
    """The first reason to kill, if there is one."""
    state = turn.state
    if state.position != 0 or (state.trade is not None and state.trade.entry is not None):
        trigger = position_trigger(state.position, turn.rules.constitution) or _unexpected_position(
            turn
        )
        if trigger is not None:
            return trigger
    return (
        (_lost_order(turn) if state.orders.unknown else None)
        or (_unprotected_position(turn) if state.unprotected_since is not None else None)
        or (_lost_connection(turn) if state.down_since is not None else None)
        or margin_trigger(None if state.account is None else state.account.available_funds_usd)
    )


def _lost_connection(turn: Turn) -> tuple[KillCause, str] | None:
    state = turn.state
    return connection_trigger(
        state.down_since,
        at=turn.at,
        has_exposure=state.is_exposed,
        rules=turn.rules.execution,
    )


def _lost_order(turn: Turn) -> tuple[KillCause, str] | None:
    lost = unknown_for_too_long(turn.state.orders, turn.at, turn.rules.execution)
    return (KillCause.UNKNOWN_ORDER, f"{lost[0].ref} is lost") if lost else None


def _unprotected_position(turn: Turn) -> tuple[KillCause, str] | None:
    since = turn.state.unprotected_since
    within = timedelta(seconds=turn.rules.execution.protect_within_seconds)
    if since is None or turn.at - since <= within:
        return None
    return KillCause.UNPROTECTED_POSITION, f"no stop has been alive since {since.isoformat()}"


def _unexpected_position(turn: Turn) -> tuple[KillCause, str] | None:
    """A position that is not the trade's own, or against it."""
    state = turn.state
    position, trade = state.position, state.trade
    own = 0
    if trade is not None:
        refs = [order.ref for order in state.orders.of(trade.plan.decision_id)]
        own = lots_of(state.ledger.fills_of(refs))
    if position == own and (trade is None or own * trade.plan.side >= 0):
        return None
    wanted = "nothing" if trade is None else f"a {trade.plan.side.name.lower()} trade"
    return KillCause.UNEXPECTED_POSITION, f"{position} held, {wanted} expected"


def _request_exit(turn: Turn, kind: ExitKind) -> None:
    """Mark the trade as closing, once; one that nobody has sent yet is over at once."""
    trade = turn.state.trade
    if trade is None or trade.state is TradeState.CLOSING:
        return
    if not turn.state.orders.of(trade.plan.decision_id, Leg.ENTRY):
        end_unfilled(turn)
        return
    move(turn, TradeEvent.EXIT_REQUESTED, exit_kind=kind)


def close_trade(turn: Turn, kind: ExitKind) -> None:
    """Close the open trade at market, for a reason."""
    _request_exit(turn, kind)
    if turn.state.trade is not None or turn.state.is_exposed:
        _bring_flat(turn)


def _bring_flat(turn: Turn) -> None:
    """Flatten what is exposed; after a kill have the broker confirm it; ask again, in bounds."""
    if turn.state.is_exposed:
        _flatten(turn)
    kill = turn.state.kill
    if not kill.is_killed or kill.is_flat_verified:
        return
    if not turn.state.is_exposed:
        turn.ask("verify flat")
    since = kill.since if turn.state.alerted_at is None else turn.state.alerted_at
    if since is not None and turn.at - since >= _again(turn):
        turn.note(AlertRaised(at=turn.at, text="killed, and not seen flat at the broker yet"))


def _again(turn: Turn) -> timedelta:
    return timedelta(seconds=turn.rules.execution.flatten_verify_seconds)


def _flatten(turn: Turn) -> None:
    """Flatten; again only when every flattening before is known to be over, or two may fill."""
    sent = [order for order in turn.state.orders.all if order.leg is Leg.FLATTEN]
    if any(is_within(turn.at - order.sent_at, _again(turn)) for order in sent):
        return
    if any(_may_still_fill(turn.state, order) for order in sent):
        turn.ask("flattening unanswered")
    else:
        turn.flatten()


def _may_still_fill(state: DeskState, order: Order) -> bool:
    """Whether an order may change the position yet; a reconciliation ends one that has gone."""
    if order.state is not OrderState.FILLED:
        return order.is_live
    told = sum(fill.quantity for fill in state.ledger.fills_of((order.ref,)))
    is_settled = state.reconciled_at is not None and state.reconciled_at > order.changed_at
    return told < order.quantity and not is_settled


def verify_flat(turn: Turn, *, is_flat: bool) -> None:
    """After a kill: the broker's own word that nothing is held and nothing is working."""
    kill = turn.state.kill
    if not kill.is_killed or kill.is_flat_verified:
        return
    if is_flat and not turn.state.is_exposed:
        turn.note(FlatVerified(at=turn.at))
    elif not is_flat:
        _flatten(turn)


def repair(turn: Turn, found: Finding) -> None:
    """One of the listed repairs."""
    state = turn.state
    trade, session = state.trade, state.session
    if trade is None or session is None:
        if found.ref is not None:
            _cancel(turn, found)
    elif found.kind is FindingKind.STOP_MISSING:
        command = protection(
            trade.plan,
            session.session_date,
            state.orders,
            position=state.position,
            stop_price_ticks=trade.stop_price_ticks,
        )
        turn.send(command, trade.plan.decision_id)
    elif found.kind is FindingKind.STOP_MISPLACED and found.ref is not None:
        move_back = ReplaceStop(ref=found.ref, stop_ticks=trade.stop_price_ticks)
        turn.send(move_back, trade.plan.decision_id)
    else:
        _cancel(turn, found)


def _cancel(turn: Turn, found: Finding) -> None:
    order = turn.state.orders.find(found.ref)
    if order is not None:
        turn.send(CancelOrder(ref=order.ref), order.decision_id)


def _give_up_waiting(turn: Turn) -> None:
    """An entry whose reconciliation never came is not made."""
    trade = turn.state.trade
    if trade is None or trade.state is not TradeState.PENDING:
        return
    is_sent = bool(turn.state.orders.of(trade.plan.decision_id, Leg.ENTRY))
    if not is_sent and turn.at - trade.plan.decided_at >= _again(turn):
        end_unfilled(turn)


def _is_fill_missing(turn: Turn, trade: Trade) -> bool:
    entries = turn.state.orders.of(trade.plan.decision_id, Leg.ENTRY)
    return any(order.state is OrderState.FILLED for order in entries)
