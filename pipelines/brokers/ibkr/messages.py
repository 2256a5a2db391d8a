"""What a gateway tells, in our own words: no type of a client library goes beyond its one module.

Prices are in points as they came, instants UTC. An id of 0 or an empty text means "not said".
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from engine.broker import OrderKind
from engine.units import OrderRef, Side

NO_REQUEST: Final = -1
"""The id of a message that answers no request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTold:
    """An open order, or a completed one: `is_completed` orders have no order id."""

    order_id: int
    client_id: int
    perm_id: int
    parent_id: int
    account: str
    ref: OrderRef | None
    symbol: str
    con_id: int
    side: Side
    kind: OrderKind
    quantity: int
    price: Decimal | None
    time_in_force: str
    good_till: datetime | None
    oca_group: str
    outside_rth: bool
    status: str
    status_text: str
    is_completed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusTold:
    """The state of an order; quantities in it are hints, executions are the truth."""

    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: int
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTold:
    """One fill, told as it happened or, with a request id, as an answer."""

    request_id: int
    execution_id: str
    order_id: int
    client_id: int
    perm_id: int
    ref: OrderRef | None
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionTold:
    """The fee of one execution; null when the broker does not know it yet."""

    execution_id: str
    commission_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionTold:
    """The signed quantity of one dated contract in one account."""

    account: str
    symbol: str
    con_id: int
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTold:
    """An error, a warning or a notice; its id is an order's, a request's, or `NO_REQUEST`."""

    request_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiveSecondBar:
    """Five seconds of trades."""

    request_id: int
    opens_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteTold:
    """One side of the best quotes; a null price means that the side is empty."""

    request_id: int
    is_bid: bool
    price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTypeTold:
    """Whether a subscription is live (1), frozen (2) or delayed (3, 4)."""

    request_id: int
    data_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTold:
    """The broker's clock, in whole seconds."""

    at: datetime


Message = (
    OrderTold
    | StatusTold
    | ExecutionTold
    | CommissionTold
    | PositionTold
    | ErrorTold
    | FiveSecondBar
    | QuoteTold
    | DataTypeTold
    | TimeTold
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedContract:
    """One dated future that the broker lists."""

    con_id: int
    symbol: str
    local_symbol: str
    exchange: str
    currency: str
    expiry_date: date
    multiplier: Decimal
    tick_size: Decimal
