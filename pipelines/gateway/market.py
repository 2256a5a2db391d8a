"""What the gateway's server asks of the market it serves, and the switches that bend the answers.

The player tells a `MarketListener` (the `Venue`) and is the `Market` that the server reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Protocol

from engine.calendar import Session
from engine.instrument import Instrument
from pipelines.gateway.tape import TapeBar


class Quote(NamedTuple):
    """The best quotes in ticks, null where a side is empty; sizes in contracts."""

    at: datetime
    bid_ticks: int | None
    ask_ticks: int | None
    bid_size: int = 1
    ask_size: int = 1


class Trade(NamedTuple):
    """One print of the tape."""

    at: datetime
    price_ticks: int
    size: int


class Market(Protocol):
    """The market as the server reads it; everything is UTC, nothing later than `now()`."""

    @property
    def instrument(self) -> Instrument: ...
    def now(self) -> datetime:
        """Market time: what clients are told is the current time."""
        ...

    def minutes(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        """Closed minutes that opened in [since, until), oldest first."""
        ...

    def five_seconds(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        """Closed 5-second bars that opened in [since, until), oldest first."""
        ...

    def sessions(self, first: date, last: date) -> Sequence[Session]:
        """Regular sessions from one date to another, both inclusive."""
        ...


class MarketListener(Protocol):
    """What the player tells of the market, in the order it happens; `Venue` is one.

    A call matches orders at the exchange first and then tells the clients: fills before the bar.
    """

    def on_five_second_bar(self, bar: TapeBar) -> None: ...
    def on_quote(self, quote: Quote) -> None: ...
    def on_trade(self, trade: Trade) -> None: ...
    def advance(self, at: datetime) -> None:
        """Let time pass without a price: orders expire, reports held back are told."""
        ...


class Audience(Protocol):
    """The clients, as the player waits for them at speed "max"; `GatewayServer` is one."""

    async def caught_up(self, timeout_seconds: float) -> bool:
        """Wait until each client has asked for the time since it was last told to react.

        That is since a 5-second bar that completes a minute, or a report about an order. Clients
        that never asked for the time do not keep this pace and are not waited for. False when the
        wall time was over first.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Switches:
    """Faults that are on or off while the gateway runs; whoever holds the object may set them.

    Faults of the exchange itself (partial fills, a fill after a cancel) are the exchange's own:
    `Venue.exchange.switch`. Those that happen once are calls of `GatewayServer` (`disconnect`,
    `lose_connectivity`, `restore_connectivity`, `freeze`, `thaw`, `broadcast`) and of `Venue`
    (`trade_by_hand`, `place_by_hand`, `set_margin`). A switch that cuts is off again once it did.
    """

    rejects_orders: bool = False
    """Every new order is answered with 201 and ends."""
    late_ack_seconds: float = 0.0
    """Market time for which everything told about an order is held back after it is placed."""
    duplicates_status: bool = False
    """Every order status is told twice."""
    loses_status: bool = False
    """No order status is told unless asked for; executions are."""
    warns_with_code: int | None = None
    """A warning (399, 404, 10349) that follows the acknowledgement of every order; it is live."""
    withholds_commission: bool = False
    """Executions come without commission reports; those missed are told once it is off again."""
    late_commission_seconds: float = 0.0
    """Market time for which a commission report stays behind its execution."""
    cuts_before_order: bool = False
    """The next order cuts its client's connection and is lost."""
    cuts_after_order: bool = False
    """The next order is placed, and its client's connection cut before anything is told of it."""
    cuts_at_fill: bool = False
    """The next fill cuts its client's connection and is not told."""
    cancels_unanswered: bool = False
    lists_no_contracts: bool = False
    """A cancel is neither carried out nor answered."""
    is_read_only: bool = False
    """Orders and cancels are answered with 321; everything else works."""
    client_id_in_use: bool = False
    """Every connection is refused with 326."""
    competing_session: bool = False
    """Market data is refused with 10197, and subscriptions are told so and fall silent."""
    delays_data: bool = False
    """Market data is delayed: 10167, data type 3; real-time bars are refused with 420."""
    has_no_data_rights: bool = False
    """Market data is refused with 354, real-time bars with 420."""
    enforces_pacing: bool = False
    """History is refused with 162 beyond 60 requests in 10 minutes or two alike in 15 seconds.

    These are wall times: a client's budget is against the clock on the wall.
    """
    stalls_bars: bool = False
    """No bars, quotes or trades are pushed; orders trade all the same."""
