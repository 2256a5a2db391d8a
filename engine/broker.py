"""The broker port: the few verbs the desk uses, and everything a broker may report.

Adapters translate, they never decide. Every verb ends in an answer or a typed error within a stated
time; a query that timed out raises, it never answers with an empty list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from engine.units import DecisionId, OrderRef, Side


class Leg(StrEnum):
    """The part an order plays; the last component of its `OrderRef`."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    FLATTEN = "flatten"


class OrderKind(StrEnum):
    """How an order executes; the desk uses no other kinds."""

    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    MARKET = "market"


class OrderEvent(StrEnum):
    """What can happen to an order, from our own hand or by the broker's report."""

    SEND = "send"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    LOST_TRACK = "lost_track"


class ConnectionState(StrEnum):
    """Whether the broker can hear us; `DATA_LOST` is up again with subscriptions gone."""

    UP = "up"
    DOWN = "down"
    DATA_LOST = "data_lost"


# ── Commands: what the desk asks for ────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceBracket:
    """Entry limit with a native stop-market and limit target that activate on its fill (OCA)."""

    decision_id: DecisionId
    symbol: str
    side: Side
    quantity: int
    entry_ref: OrderRef
    stop_ref: OrderRef
    target_ref: OrderRef
    entry_limit_ticks: int
    stop_ticks: int
    target_ticks: int
    entry_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceStop:
    """Move the working stop of a bracket to a new price; quantity unchanged."""

    ref: OrderRef
    stop_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceProtection:
    """A stop (and target, if given) for a position whose bracket child is missing.

    `side` is the side of the position that is protected; the orders trade the other way.
    """

    symbol: str
    side: Side
    quantity: int
    stop_ref: OrderRef
    stop_ticks: int
    target_ref: OrderRef | None
    target_ticks: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel one working order."""

    ref: OrderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenPosition:
    """Cancel all working orders of the symbol and close its position at market."""

    symbol: str
    ref: OrderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryBroker:
    """Ask for orders, executions and positions; the answer is a `BrokerSnapshot`."""

    cause: str


Command = PlaceBracket | ReplaceStop | PlaceProtection | CancelOrder | FlattenPosition | QueryBroker


# ── Reports: what a broker tells ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReported:
    """A change of one order's state. Quantity comes from executions, never from here."""

    at: datetime
    ref: OrderRef
    event: OrderEvent
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReported:
    """One fill. `execution_id` deduplicates; a correction `….02` replaces `….01`."""

    at: datetime
    execution_id: str
    ref: OrderRef
    symbol: str
    side: Side
    quantity: int
    price_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionReported:
    """Fee of one execution; it may come late."""

    at: datetime
    execution_id: str
    commission_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReported:
    """Signed quantity held at the broker: + long, - short."""

    at: datetime
    symbol: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReported:
    """Money at the broker; null means the broker did not say, and unknown equity means no entry."""

    at: datetime
    equity_usd: Decimal | None
    available_funds_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReported:
    """A change of the connection to the broker."""

    at: datetime
    state: ConnectionState
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingOrder:
    """One order as the broker lists it; `ref` is null for an order somebody else placed.

    `quantity` is what may still trade. A held order is a bracket child whose entry has not filled.
    """

    ref: OrderRef | None
    symbol: str
    side: Side
    kind: OrderKind
    quantity: int
    price_ticks: int | None
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedOrder:
    """An order that will not change any more, and how it ended."""

    ref: OrderRef | None
    event: OrderEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSnapshot:
    """The broker's whole truth at one instant; the answer to `QueryBroker`."""

    at: datetime
    positions: tuple[PositionReported, ...]
    working: tuple[WorkingOrder, ...]
    completed: tuple[CompletedOrder, ...]
    executions: tuple[ExecutionReported, ...]


class FeedState(StrEnum):
    """Whether the market data may be traded on; everything but LIVE stops entries."""

    LIVE = "live"
    STALE = "stale"
    DELAYED = "delayed"
    COMPETING = "competing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarReported:
    """A closed minute bar as the broker told it, prices in points; nothing is checked yet.

    `is_backfill` marks one asked for after the fact; quotes are those at its close, or null.
    """

    at: datetime
    symbol: str
    opens_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int | None
    bid: float | None
    ask: float | None
    is_backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteReported:
    """The best quotes, in points; null where a side is empty."""

    at: datetime
    symbol: str
    bid: float | None
    ask: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReported:
    """A change of what the market data is worth."""

    at: datetime
    state: FeedState
    text: str = ""


MarketReport = BarReported | QuoteReported | FeedReported

BrokerReport = (
    OrderReported
    | ExecutionReported
    | CommissionReported
    | PositionReported
    | AccountReported
    | ConnectionReported
    | BrokerSnapshot
)


class Broker(Protocol):
    """What every adapter offers; the shared suite in `tests/simulation` holds them all to it."""

    def account(self) -> AccountReported: ...
    def positions(self) -> Sequence[PositionReported]: ...
    def open_orders(self) -> Sequence[WorkingOrder]: ...
    def executions(self, since: datetime) -> Sequence[ExecutionReported]:
        """Executions from an instant on, as far back as the broker tells: often its day alone."""
        ...

    def completed_orders(self) -> Sequence[CompletedOrder]: ...
    def place_bracket(self, intent: PlaceBracket) -> None: ...
    def place_protection(self, intent: PlaceProtection) -> None: ...
    def replace(self, change: ReplaceStop) -> None: ...
    def cancel(self, cancel: CancelOrder) -> None: ...
    def flatten(self, flatten: FlattenPosition) -> None: ...
    def reports(self) -> Sequence[BrokerReport]:
        """Everything reported since the last call, in the order it arrived."""
        ...


class LiveBroker(Broker, Protocol):
    """A broker that tells the market too and has a time of its own; what a session run talks to.

    Every verb raises `BrokerUnreachable` or `BrokerTimeout` within its stated time.
    """

    @property
    def account_id(self) -> str: ...
    def now(self) -> datetime:
        """The broker's time, UTC: the instant that every input of the desk carries."""
        ...

    def connect(self) -> None:
        """Connect once, bounded; later losses are mended by the adapter and reported."""
        ...

    def close(self) -> None: ...
    def subscribe(self, symbol: str) -> None:
        """Have the symbol's closed minutes and quotes told from now on."""
        ...

    def bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:
        """Closed minutes of the symbol that opened at or after an instant, oldest first."""
        ...

    def told(self) -> Sequence[BrokerReport | MarketReport]:
        """Everything since the last call in the order it arrived; `reports` leaves the market."""
        ...

    def wait(self, timeout_seconds: float) -> bool:
        """Return when something can be read, or False when the wall time is over."""
        ...

    def caught_up(self) -> None:
        """Say that everything told so far has been acted on; returns at once."""
        ...
