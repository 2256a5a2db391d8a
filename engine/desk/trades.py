"""What orders and fills mean for the trade: filled, ended, flat, and with what result."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from engine.broker import ExecutionReported, Leg
from engine.desk.facts import OutsideResultCounted
from engine.desk.turn import Turn
from engine.execution_quality import Trouble
from engine.kill import KillCause, KillEvent, KillState, change
from engine.ledger import flow_ticks_of, lots_of
from engine.orders import OrderState, is_final
from engine.risk import RiskState
from engine.rules import Constitution
from engine.trade import (
    ExitKind,
    Trade,
    TradeChanged,
    TradeClosed,
    TradeEvent,
    TradeState,
    next_state,
)

_MONTH_FIRST: Final = (
    (KillCause.MONTHLY_LOSS, "net_usd_this_month", "loss_usd_per_month_max"),
    (KillCause.WEEKLY_LOSS, "net_usd_this_week", "loss_usd_per_week_max"),
    (KillCause.DAILY_LOSS, "net_usd_today", "loss_usd_per_day_max"),
)

LIMITS: Final = frozenset(cause for cause, _, _ in _MONTH_FIRST)
"""Causes of a halt that ends with the period of its limit."""


def follow(turn: Turn) -> None:
    """Bring the trade to where its orders and fills are."""
    _revive(turn)
    trade = turn.state.trade
    if trade is None:
        count_outside(turn)
        return
    entries = turn.state.orders.of(trade.plan.decision_id, Leg.ENTRY)
    fills = turn.state.ledger.fills_of(order.ref for order in entries)
    if fills:
        _follow_entry(turn, trade, fills)
    elif entries and all(is_ended_unfilled(order.state) for order in entries):
        end_unfilled(turn)
        return
    _follow_exit(turn)


def is_ended_unfilled(state: OrderState) -> bool:
    """Whether an order without executions will have none; a FILLED one's are on their way."""
    return is_final(state) and state is not OrderState.FILLED


def move(turn: Turn, event: TradeEvent, **details: object) -> None:
    """Move the trade on by its table."""
    trade = turn.state.trade or turn.state.ended_trade
    if trade is None:
        return
    turn.note(
        TradeChanged(
            at=turn.at,
            decision_id=trade.plan.decision_id,
            event=event,
            before=trade.state,
            after=next_state(trade.state, event),
            **details,  # type: ignore[arg-type]
        )
    )


def end_unfilled(turn: Turn) -> None:
    """The entry is over and nothing was traded: the trade never was."""
    move(turn, TradeEvent.ENTRY_ENDED, exit_kind=ExitKind.NEVER_FILLED)
    _close(turn, ExitKind.NEVER_FILLED)


def _revive(turn: Turn) -> None:
    """A fill after the cancel: the exchange is right, and the trade goes on."""
    ended = turn.state.ended_trade
    if turn.state.trade is not None or ended is None or ended.entry is not None:
        return
    orders = turn.state.orders.of(ended.plan.decision_id, Leg.ENTRY)
    fills = turn.state.ledger.fills_of(order.ref for order in orders)
    if fills:
        move(turn, TradeEvent.ENTRY_FILLED, entry_price_ticks=_average(fills))


def _follow_entry(turn: Turn, trade: Trade, fills: tuple[ExecutionReported, ...]) -> None:
    price = _average(fills)
    if trade.entry is not None and trade.entry.price_ticks == price:
        return
    is_first = trade.entry is None
    move(turn, TradeEvent.ENTRY_FILLED, entry_price_ticks=price)
    if not is_first:
        return
    sent_at = turn.state.orders.of(trade.plan.decision_id, Leg.ENTRY)[0].sent_at
    patience = timedelta(seconds=turn.rules.execution.slow_fill_seconds)
    if fills[0].at - sent_at > patience:
        turn.trouble(Trouble.SLOW_FILL, f"the entry took {fills[0].at - sent_at}")
    slipped = trade.plan.side * (price - trade.plan.decision_price_ticks)
    note_slippage(turn, trade, slipped, "entry")


def note_slippage(turn: Turn, trade: Trade, slipped_ticks: int, what: str) -> None:
    """Book a surprise when a fill was worse than a multiple of what was expected."""
    bound = turn.rules.execution.slippage_surprise_multiple * trade.plan.slippage_ticks
    if slipped_ticks > bound:
        turn.trouble(
            Trouble.SLIPPAGE,
            f"{what} slipped {slipped_ticks} ticks, {trade.plan.slippage_ticks:.2f} expected",
        )


def _follow_exit(turn: Turn) -> None:
    trade = turn.state.trade
    if trade is None or trade.entry is None:
        return
    orders = turn.state.orders.of(trade.plan.decision_id)
    legs = {order.ref: order.leg for order in orders}
    fills = turn.state.ledger.fills_of(legs)
    if lots_of(fills) != 0:
        _follow_other_hands(turn, trade)
        return
    last_leg = legs[fills[-1].ref]
    kind = _exit_kind(trade, last_leg)
    if last_leg is Leg.STOP:
        slipped = trade.plan.side * (trade.stop_price_ticks - fills[-1].price_ticks)
        note_slippage(turn, trade, slipped, "stop")
    move(turn, TradeEvent.WENT_FLAT, exit_kind=kind)
    _close(turn, kind)


def _follow_other_hands(turn: Turn, trade: Trade) -> None:
    """A trade that we are closing is over once the account is flat, whoever made it so."""
    state = turn.state
    if trade.state is TradeState.CLOSING and not state.is_exposed:
        kind = trade.exit_kind or ExitKind.KILL
        move(turn, TradeEvent.WENT_FLAT, exit_kind=kind)
        _close(turn, kind)


def _exit_kind(trade: Trade, leg: Leg) -> ExitKind:
    """What closed the trade: the leg that traded, and for a flattening what asked for it."""
    if leg is Leg.STOP:
        return ExitKind.PROTECTED_STOP if trade.is_stop_protected else ExitKind.STOP
    if leg is Leg.TARGET:
        return ExitKind.TARGET
    return trade.exit_kind or ExitKind.KILL


def _close(turn: Turn, kind: ExitKind) -> None:
    state, instrument = turn.state, turn.rules.instrument
    trade = state.trade
    if trade is None or trade.state is not TradeState.CLOSED:
        return
    fills = state.fills_of_trade(trade.plan.decision_id)
    # What a hand paid that told no execution is unknown: the last close stands in for it.
    gross_ticks = flow_ticks_of(fills) if lots_of(fills) == 0 else sum(trade.path_ticks[-1:])
    fees_usd = state.ledger.fees_usd(fills, instrument.fees.per_side_usd)
    gross_usd = instrument.to_usd(gross_ticks)
    exits = tuple(fill for fill in fills if fill.side is not trade.plan.side)
    exit_price = _average(exits) if exits else None
    excursions = [] if exit_price is None else [trade.gained_ticks(exit_price)]
    turn.note(
        TradeClosed(
            at=turn.at,
            decision_id=trade.plan.decision_id,
            template=trade.plan.template,
            side=trade.plan.side,
            exit_kind=kind,
            opened_at=None if trade.entry is None else trade.entry.at,
            entry_price_ticks=None if trade.entry is None else trade.entry.price_ticks,
            exit_price_ticks=exit_price,
            gross_ticks=gross_ticks,
            gross_usd=gross_usd,
            fees_usd=fees_usd,
            net_usd=gross_usd - fees_usd,
            mae_ticks=min(trade.mae_ticks, *excursions, 0),
            mfe_ticks=max(trade.mfe_ticks, *excursions, 0),
            path_ticks=trade.path_ticks,
        )
    )
    count_outside(turn)
    halt_at_limit(turn)


def count_outside(turn: Turn) -> None:
    """Once flat, executions that no trade has counted are a result like any other."""
    state, instrument = turn.state, turn.rules.instrument
    if state.trade is not None or state.position != 0:
        return
    fills = state.ledger.uncounted
    if not fills:
        return
    gross_usd = instrument.to_usd(flow_ticks_of(fills)) if lots_of(fills) == 0 else Decimal(0)
    fees_usd = state.ledger.fees_usd(fills, instrument.fees.per_side_usd)
    turn.note(
        OutsideResultCounted(
            at=turn.at,
            execution_ids=tuple(fill.execution_id for fill in fills),
            net_usd=gross_usd - fees_usd,
        )
    )
    halt_at_limit(turn)


def reached_limit(risk: RiskState, law: Constitution) -> KillCause | None:
    """The longest period whose realised loss has reached its limit; null while none has."""
    for cause, net, limit in _MONTH_FIRST:
        if -getattr(risk, net) >= getattr(law, limit):
            return cause
    return None


def halt_at_limit(turn: Turn) -> None:
    """Halt where the realised result has reached a limit, once."""
    kill, cause = turn.state.kill, reached_limit(turn.state.risk, turn.rules.constitution)
    if cause is None or kill.state is KillState.KILLED or kill.cause is cause:
        return
    text = f"the {cause.value.replace('_', ' ')} limit is reached"
    turn.note(change(kill, KillEvent.LIMIT_REACHED, at=turn.at, cause=cause, text=text))


def lift_limit(turn: Turn) -> None:
    """At the open: a halt by a limit ends when the period it was about is over."""
    kill = turn.state.kill
    if kill.state is not KillState.HALTED or kill.cause not in LIMITS:
        return
    still = reached_limit(turn.state.risk, turn.rules.constitution)
    if still is None:
        text = "a new period began"
        turn.note(change(kill, KillEvent.LIMIT_CLEARED, at=turn.at, cause=None, text=text))


def _average(fills: tuple[ExecutionReported, ...]) -> int:
    """Average price of some fills, rounded to a tick; exact for a single contract."""
    lots = sum(fill.quantity for fill in fills)
    return round(sum(fill.quantity * fill.price_ticks for fill in fills) / lots)
