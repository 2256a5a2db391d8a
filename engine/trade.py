"""One trade from plan to result: PENDING → OPEN → CLOSING → CLOSED, and what a bar asks of it.

Prices and quantities come from executions alone. A stop only ever moves toward profit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from engine.errors import ImpossibleTransition
from engine.kill import KillSwitch
from engine.market import MarketRow
from engine.rules import Rules
from engine.strategies.protocol import ExitCause, TradeView
from engine.strategies.registry import template
from engine.units import DecisionId, Side


class TradeState(StrEnum):
    """Where the trade is; PENDING means decided, and nothing of it held yet."""

    PENDING = "pending"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class TradeEvent(StrEnum):
    """What moves a trade on."""

    ENTRY_FILLED = "entry_filled"
    ENTRY_ENDED = "entry_ended"
    EXIT_REQUESTED = "exit_requested"
    WENT_FLAT = "went_flat"


class ExitKind(StrEnum):
    """How a trade ended. The first three are the bracket's own; the others are asked for."""

    STOP = "stop"
    PROTECTED_STOP = "protected_stop"
    TARGET = "target"
    FLATTEN_TIME = "flatten_time"
    KILL = "kill"
    QUALITY = "quality"
    THESIS = "thesis"
    OPPOSITE_BELIEF = "opposite_belief"
    TIME_STOP = "time_stop"
    PERSON = "person"
    NEVER_FILLED = "never_filled"


_S = TradeState
_E = TradeEvent

NEXT_STATE: Final[Mapping[tuple[TradeState, TradeEvent], TradeState]] = {
    (_S.PENDING, _E.ENTRY_FILLED): _S.OPEN,
    (_S.PENDING, _E.ENTRY_ENDED): _S.CLOSED,  # Never filled.
    (_S.PENDING, _E.EXIT_REQUESTED): _S.CLOSING,  # Killed while the entry was travelling.
    (_S.OPEN, _E.ENTRY_FILLED): _S.OPEN,  # The rest of a partial fill.
    (_S.OPEN, _E.ENTRY_ENDED): _S.OPEN,  # The rest of a partial fill is gone.
    (_S.OPEN, _E.EXIT_REQUESTED): _S.CLOSING,
    (_S.OPEN, _E.WENT_FLAT): _S.CLOSED,  # The bracket did its work at the broker.
    (_S.CLOSING, _E.ENTRY_FILLED): _S.CLOSING,  # The fill won; the flattening closes it too.
    (_S.CLOSING, _E.ENTRY_ENDED): _S.CLOSED,  # Killed in flight, and nothing had filled.
    (_S.CLOSING, _E.EXIT_REQUESTED): _S.CLOSING,  # Asked again, because nothing was heard.
    (_S.CLOSING, _E.WENT_FLAT): _S.CLOSED,
    (_S.CLOSED, _E.ENTRY_FILLED): _S.OPEN,  # A fill after the cancel: the exchange is right.
}
"""Impossible by intent: going flat without having been filled, and anything else once closed."""


def next_state(state: TradeState, event: TradeEvent) -> TradeState:
    """The state after an event; raises `ImpossibleTransition` for a pair not in the table."""
    try:
        return NEXT_STATE[state, event]
    except KeyError:
        raise ImpossibleTransition(
            f"a trade in state {state.value!r} cannot meet event {event.value!r}; "
            "expected a pair of engine.trade.NEXT_STATE"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePlan:
    """What was decided, as it was known at the decision; prices and distances in ticks.

    `slippage_ticks` is expected per side, `friction_ticks` for the round trip with fees.
    """

    decision_id: DecisionId
    decided_at: datetime
    symbol: str
    template: str
    side: Side
    quantity: int
    decision_price_ticks: int
    entry_limit_ticks: int
    stop_price_ticks: int
    target_price_ticks: int
    stop_distance_ticks: int
    target_distance_ticks: int
    time_stop_minutes: int
    entry_atr_14_ticks: float
    slippage_ticks: float
    friction_ticks: float
    regime: str
    phase: int
    dvs: float
    belief: float
    instability: float
    p_win: float
    edge: float
    euc: float
    theta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """When an entry first filled, and at which price on average, rounded to a tick."""

    at: datetime
    price_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A trade and what became of it so far; `entry` is null while nothing is held.

    `path_ticks` holds the profit at every close since the fill. MAE and MFE are the worst
    and the best profit seen; of the fill's own bar only the close is surely later than the fill.
    """

    plan: TradePlan
    state: TradeState
    stop_price_ticks: int
    entry: Filled | None = None
    exit_kind: ExitKind | None = None
    mae_ticks: int = 0
    mfe_ticks: int = 0
    path_ticks: tuple[int, ...] = ()

    @property
    def is_stop_protected(self) -> bool:
        """Whether the stop was moved from where it was planned."""
        return self.stop_price_ticks != self.plan.stop_price_ticks

    def gained_ticks(self, price_ticks: int) -> int:
        """Profit at a price, before costs; measured from the limit until the entry fills."""
        entry = self.entry
        paid_ticks = self.plan.entry_limit_ticks if entry is None else entry.price_ticks
        return self.plan.side * (price_ticks - paid_ticks)

    def after_bar(self, opens_at: datetime, high: int, low: int, close: int) -> "Trade":
        """The trade after one more closed bar; itself while nothing is held."""
        entry = self.entry
        if entry is None:
            return self
        worst = best = gained = self.gained_ticks(close)
        if opens_at >= entry.at:
            worst, best = sorted((self.gained_ticks(high), self.gained_ticks(low)))
        return Trade(
            plan=self.plan,
            state=self.state,
            stop_price_ticks=self.stop_price_ticks,
            entry=entry,
            exit_kind=self.exit_kind,
            mae_ticks=min(self.mae_ticks, worst),
            mfe_ticks=max(self.mfe_ticks, best),
            path_ticks=(*self.path_ticks, gained),
        )


# ── Facts ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePlanned:
    """Fact: the desk decided to enter."""

    at: datetime
    plan: TradePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeChanged:
    """Fact: the trade moved on. The entry price is the rounded average of what has filled."""

    at: datetime
    decision_id: DecisionId
    event: TradeEvent
    before: TradeState
    after: TradeState
    entry_price_ticks: int | None = None
    exit_kind: ExitKind | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopMoved:
    """Fact: the stop was moved toward profit, and why."""

    at: datetime
    decision_id: DecisionId
    from_ticks: int
    to_ticks: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeClosed:
    """Fact: the round trip is over; `net_usd` is gross less fees, estimated until reported."""

    at: datetime
    decision_id: DecisionId
    template: str
    side: Side
    exit_kind: ExitKind
    opened_at: datetime | None
    entry_price_ticks: int | None
    exit_price_ticks: int | None
    gross_ticks: int
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    mae_ticks: int
    mfe_ticks: int
    path_ticks: tuple[int, ...]


def apply_changed(trade: Trade, fact: TradeChanged) -> Trade:
    """Fold one change of state."""
    entry = trade.entry
    if fact.entry_price_ticks is not None:
        opened_at = fact.at if entry is None else entry.at
        entry = Filled(at=opened_at, price_ticks=fact.entry_price_ticks)
    known = None if trade.state is TradeState.CLOSED else trade.exit_kind  # It lives again.
    return replace(trade, state=fact.after, entry=entry, exit_kind=known or fact.exit_kind)


# ── What a bar asks for ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Leave the trade as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tighten:
    """Move the stop to a price closer to profit."""

    stop_price_ticks: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """Close the trade at market."""

    kind: ExitKind


HOLD: Final = Hold()

_ASKED_BY_TEMPLATE: Final = {
    ExitCause.THESIS: ExitKind.THESIS,
    ExitCause.OPPOSITE_BELIEF: ExitKind.OPPOSITE_BELIEF,
    ExitCause.TIME_STOP: ExitKind.TIME_STOP,
}


def manage(
    trade: Trade, row: MarketRow, *, kill: KillSwitch, eqs: float, rules: Rules
) -> Hold | Tighten | Exit:
    """What one closed bar asks of an open trade, first asked first.

    Flatten time, kill, quality below the hold gate, thesis, time stop, volatility, profit. A trade
    of which nothing is held yet is only asked the first two.
    """
    if row.minutes_to_close <= rules.session.flatten_minutes_before_end:
        return Exit(kind=ExitKind.FLATTEN_TIME)
    if kill.is_killed:
        return Exit(kind=ExitKind.KILL)
    entry = trade.entry
    if entry is None:
        return HOLD
    if row.dvs < rules.constitution.dvs_hold_min or eqs < rules.constitution.eqs_hold_min:
        return _break_even_or_out(trade, entry, row)
    strategy = template(trade.plan.template, rules)
    view = _view(trade, entry)
    cause = strategy.plan_exit(view, row, rules)
    if cause is not None:
        return Exit(kind=_ASKED_BY_TEMPLATE[cause])
    move = strategy.plan_management(view, row, rules)
    if move is None or not _is_tighter(trade, move.stop_price_ticks, row.close_ticks):
        return HOLD
    return Tighten(stop_price_ticks=move.stop_price_ticks, cause=move.cause.value)


def _view(trade: Trade, entry: Filled) -> TradeView:
    """What the template may know of an open trade."""
    plan = trade.plan
    return TradeView(
        template=plan.template,
        side=plan.side,
        opened_at=entry.at,
        entry_price_ticks=entry.price_ticks,
        stop_price_ticks=trade.stop_price_ticks,
        stop_distance_ticks=plan.stop_distance_ticks,
        entry_atr_14_ticks=plan.entry_atr_14_ticks,
        friction_ticks=plan.friction_ticks,
    )


def _break_even_or_out(trade: Trade, entry: Filled, row: MarketRow) -> Hold | Tighten | Exit:
    """Doubtful data or execution: the stop goes to where nothing is lost, or the trade goes."""
    side = trade.plan.side
    friction_ticks = -int(-trade.plan.friction_ticks // 1)
    break_even_ticks = entry.price_ticks + side * friction_ticks
    if side * (trade.stop_price_ticks - break_even_ticks) >= 0:
        return HOLD
    if _is_tighter(trade, break_even_ticks, row.close_ticks):
        return Tighten(stop_price_ticks=break_even_ticks, cause=ExitKind.QUALITY.value)
    return Exit(kind=ExitKind.QUALITY)


def _is_tighter(trade: Trade, stop_price_ticks: int, close_ticks: int) -> bool:
    """Whether a stop lies between the working one and the price, so that it protects and rests."""
    side = trade.plan.side
    return (
        side * (stop_price_ticks - trade.stop_price_ticks) > 0
        and side * (close_ticks - stop_price_ticks) > 0
    )
