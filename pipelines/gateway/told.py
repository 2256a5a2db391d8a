"""What the venue tells the server, which decides who of the clients hears it and in which words."""

from dataclasses import dataclass

from pipelines.gateway.market import Quote, Trade
from pipelines.gateway.order_book import ClientOrder, Fill
from pipelines.gateway.order_messages import WhatIf
from pipelines.gateway.tape import TapeBar


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTold:
    """How an order stands, as it was at that moment; `is_described` also repeats all its fields."""

    order: ClientOrder
    is_described: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfTold:
    """What an order would do if it were placed; it was not."""

    order: ClientOrder
    what_if: WhatIf


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTold:
    """An error or a warning about one order of one client."""

    client_id: int
    order_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FillTold:
    """One execution, for the client whose order it was."""

    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionTold:
    """What an execution cost, for the client whose order it was."""

    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTold:
    """Position or money changed; for whoever follows them."""


OrderEventTold = OrderTold | ErrorTold | FillTold | CommissionTold
MarketTold = TapeBar | Quote | Trade
Told = OrderEventTold | WhatIfTold | AccountTold | MarketTold
