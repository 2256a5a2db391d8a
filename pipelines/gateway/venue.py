"""The broker behind the gateway: the market goes in, orders go in, and what follows is told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Final

from engine.broker import CancelOrder
from engine.exchange import Exchange, ExchangeSettings, PlaceOrder, ReplaceOrder
from engine.units import Side
from pipelines.gateway.books import Books
from pipelines.gateway.instruments import Listing
from pipelines.gateway.market import Market, Quote, Switches, Trade
from pipelines.gateway.order_book import ClientOrder
from pipelines.gateway.order_request import CANCEL_ALL_WITH_BLOCK
from pipelines.gateway.order_terms import OrderTerms
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.told import AccountTold

ACCOUNT_ID: Final = "DU1234567"
"""An account of paper, as its first two letters say."""

ACCOUNT_TOLD_EVERY: Final = timedelta(minutes=3)
"""How often the money is told again although nothing was traded."""


class Venue:
    """One account at one exchange; the player tells it the market, the clients give it orders.

    It is a `MarketListener`. The settings' `bar_seconds` must be those of the bars it is told: 5.
    """

    def __init__(
        self,
        market: Market,
        settings: ExchangeSettings,
        switches: Switches,
        *,
        account_id: str = ACCOUNT_ID,
        seed: int = 0,
    ) -> None:
        self.market = market
        self.account_id = account_id
        self.switches = switches
        self.exchange = Exchange(settings, seed=seed)
        self.listing = Listing(market)
        self.books = Books(market, self.listing, switches)
        self.deposit_usd = settings.deposit_usd
        self.margin_usd = settings.margin_usd_per_contract
        self.quote: Quote | None = None
        self.mark_ticks: int | None = None
        self._unquoted_ticks = ceil(min(settings.slippage_ticks, settings.slippage_ticks_max))
        self._account_told_at: datetime | None = None

    # ── The market, told by the player ──────────────────────────────────────────────────────────

    def on_five_second_bar(self, bar: TapeBar) -> None:
        """Let a closed bar trade at the exchange, then tell it."""
        self.mark_ticks = bar.close_ticks
        self.books.take(self.exchange.on_bar(bar))
        if bar.bid_ticks is not None or bar.ask_ticks is not None:
            self.quote = Quote(bar.closes_at, bar.bid_ticks, bar.ask_ticks)
        self._let_time_pass()
        self.books.outbox.listener(bar)

    def on_quote(self, quote: Quote) -> None:
        """Take the best quotes; only orders that arrive from now on meet them."""
        self.quote = quote
        self._let_time_pass()
        self.books.outbox.listener(quote)

    def on_trade(self, trade: Trade) -> None:
        """Take a print; it trades nothing here, the bar that holds it does."""
        self.mark_ticks = trade.price_ticks
        self._let_time_pass()
        self.books.outbox.listener(trade)

    def advance(self, at: datetime) -> None:
        """Let time pass without a price."""
        self.books.take(self.exchange.advance(at))
        self._let_time_pass()

    # ── Orders ──────────────────────────────────────────────────────────────────────────────────

    def transmit(self, orders: Sequence[tuple[ClientOrder, OrderTerms]]) -> None:
        """Send orders that belong together to the exchange, parents first."""
        now = self.market.now()
        for order, terms in orders:
            self.books.orders[order.perm_id] = order
            if self.switches.late_ack_seconds:
                order.silent_until = now + timedelta(seconds=self.switches.late_ack_seconds)
            if self.switches.rejects_orders:
                self.books.refuse(order, "a fault that is switched on")
            else:
                self.books.take(self.exchange.submit(_placing(order, terms), now))
        self._meet_quote(now)

    def change(self, order: ClientOrder, terms: OrderTerms) -> None:
        """Give a working order a new quantity, price or life."""
        now = self.market.now()
        command = ReplaceOrder(
            ref=order.ref,
            quantity=terms.quantity,
            price_ticks=terms.price_ticks,
            expires_at=terms.expires_at,
        )
        self.books.take(self.exchange.submit(command, now))
        self._meet_quote(now)

    def cancel(self, order: ClientOrder) -> None:
        """Cancel a working order, and the children that wait for it."""
        if not self.switches.cancels_unanswered:
            command = CancelOrder(ref=order.ref)
            self.books.take(self.exchange.submit(command, self.market.now()))

    def cancel_all(self) -> None:
        """Cancel every working order of every client."""
        for order in self.books.working:
            if not order.status.is_over:
                self.cancel(order)

    # ── By another hand ─────────────────────────────────────────────────────────────────────────

    def trade_by_hand(self, side: Side, quantity: int, price_ticks: int) -> None:
        """Trade on the account from elsewhere: an execution that no order of the API led to."""
        now = self.market.now()
        self.exchange.open_alien_position(side, quantity, price_ticks, now)
        execution = self.exchange.truth(now).executions[-1]
        self.books.take([execution, *self.exchange.advance(now)])

    def set_margin(self, usd_per_contract: Decimal) -> None:
        """Change the margin of a lot; less than no funds available is a margin call."""
        now = self.market.now()
        self.margin_usd = usd_per_contract
        self.exchange.set_margin(usd_per_contract, now)
        self.books.take(self.exchange.advance(now))

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _meet_quote(self, now: datetime) -> None:
        """Let what has just arrived trade at the standing quote.

        A side that nobody quotes is as far from the last price as a market order is expected to
        slip, so that no source's silence about its quotes makes trading free.
        """
        quote, mark = self.quote, self.mark_ticks
        bid = None if quote is None else quote.bid_ticks
        ask = None if quote is None else quote.ask_ticks
        if mark is not None:
            bid = mark - self._unquoted_ticks if bid is None else bid
            ask = mark + self._unquoted_ticks if ask is None else ask
        if bid is not None and ask is not None:
            self.books.take(self.exchange.on_arrivals(now, bid, ask))

    def _let_time_pass(self) -> None:
        self.books.outbox.let_time_pass()
        now = self.market.now()
        if self._account_told_at is None or now - self._account_told_at >= ACCOUNT_TOLD_EVERY:
            self._account_told_at = now
            self.books.outbox.listener(AccountTold())


def _placing(order: ClientOrder, terms: OrderTerms) -> PlaceOrder:
    return PlaceOrder(
        ref=order.ref,
        symbol=order.future.instrument.symbol,
        side=order.side,
        kind=order.kind,
        quantity=terms.quantity,
        price_ticks=terms.price_ticks,
        expires_at=terms.expires_at,
        parent_ref=None if order.parent is None else order.parent.ref,
        oca_group=order.request.oca_group or None,
        cancels_at_once=order.request.oca_type == CANCEL_ALL_WITH_BLOCK,
    )
