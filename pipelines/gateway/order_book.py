"""Orders and fills as the broker keeps them for its clients, beside the exchange's own book."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from engine.broker import OrderKind
from engine.units import OrderRef, Side
from pipelines.gateway.instruments import Future
from pipelines.gateway.order_request import OrderRequest


class Status(StrEnum):
    """An order's status in the protocol's words."""

    PENDING_SUBMIT = "PendingSubmit"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    INACTIVE = "Inactive"

    @property
    def is_over(self) -> bool:
        return self in {Status.FILLED, Status.CANCELLED, Status.INACTIVE}


@dataclass(slots=True, kw_only=True)
class ClientOrder:
    """One order of one client, from its placing to its end; prices in points.

    `silent_until` is the market time before which nothing is told about it (a late answer).
    """

    perm_id: int
    client_id: int
    request: OrderRequest
    future: Future
    side: Side
    kind: OrderKind
    placed_at: datetime
    parent: "ClientOrder | None" = None
    status: Status = Status.PENDING_SUBMIT
    why_held: str = ""
    filled: int = 0
    paid_points: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    ended_at: datetime | None = None
    silent_until: datetime | None = None

    @property
    def order_id(self) -> int:
        return self.request.order_id

    @property
    def ref(self) -> OrderRef:
        """Its name at the exchange; the client's `orderRef` need not be unique there."""
        return OrderRef(str(self.perm_id))

    @property
    def quantity(self) -> int:
        return int(self.request.quantity)

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        return self.paid_points / self.filled if self.filled else Decimal(0)

    @property
    def oca_group(self) -> str:
        """The named group, or the one that children of a parent are in without asking."""
        return self.request.oca_group or ("" if self.parent is None else str(self.parent.perm_id))

    @property
    def oca_type(self) -> int:
        return self.request.oca_type or (3 if self.oca_group else 0)


@dataclass(slots=True, kw_only=True)
class Fill:
    """One execution; `order` is null for a trade by another hand. Prices in points.

    `realized_usd` is null where the fill closed nothing; `is_commission_told` once it was.
    """

    execution_id: str
    at: datetime
    order: ClientOrder | None
    future: Future
    side: Side
    quantity: int
    price: Decimal
    filled_so_far: int
    average_price: Decimal
    commission_usd: Decimal
    realized_usd: Decimal | None
    is_commission_told: bool = False
