"""A market moved by hand, a gateway over it, and clients, all in one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from exchange_tables import MES, settings
from ib_insync import IB, Contract, Future, Order
from ib_insync import Trade as IbTrade

from engine.calendar import Session
from engine.instrument import Instrument
from pipelines.gateway.client import UNREAD_BYTES_MAX
from pipelines.gateway.market import Quote, Switches, Trade
from pipelines.gateway.server import GatewayServer
from pipelines.gateway.tape import TapeBar, minute_from
from pipelines.gateway.venue import Venue
from pipelines.gateway.wire_client import WireClient

OPENS_AT = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
"""A Tuesday in March; the traded month is March until the 7th, eight days before its expiry."""

BASE = 20_000
"""5,000.00 points."""

FIVE_SECONDS = timedelta(seconds=5)


class HandFedMarket:
    """A `Market` whose bars are those that a test has told so far."""

    def __init__(self) -> None:
        self.at = OPENS_AT
        self.parts: list[TapeBar] = []

    @property
    def instrument(self) -> Instrument:
        return MES

    def now(self) -> datetime:
        return self.at

    def minutes(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        opens = sorted({part.opens_at.replace(second=0) for part in self.parts})
        whole = [at for at in opens if since <= at < until and at + timedelta(minutes=1) <= self.at]
        return [minute_from(self._within(at, at + timedelta(minutes=1))) for at in whole]

    def five_seconds(self, since: datetime, until: datetime) -> Sequence[TapeBar]:
        return self._within(since, until)

    def sessions(self, first: date, last: date) -> Sequence[Session]:
        days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
        return [
            Session(
                session_date=day,
                opens_at=datetime.combine(day, time(14, 30), UTC),
                closes_at=datetime.combine(day, time(21), UTC),
                prior_session_date=None,
            )
            for day in days
            if day.weekday() < 5
        ]

    def _within(self, since: datetime, until: datetime) -> list[TapeBar]:
        return [part for part in self.parts if since <= part.opens_at < until]


class HandFedGateway:
    """A gateway and its market; `bar` and `quote` are in ticks from the base."""

    def __init__(self, unread_bytes_max: int = UNREAD_BYTES_MAX) -> None:
        self.market = HandFedMarket()
        self.switches = Switches()
        costs = replace(
            settings(latency_ms=0, margin_usd=2000),
            deposit_usd=Decimal(10_000),
            bar_seconds=5,
        )
        self.venue = Venue(self.market, costs, self.switches)
        self.server = GatewayServer(self.venue, unread_bytes_max=unread_bytes_max)
        self.port = 0

    def bar(self, open_: int, high: int, low: int, close: int, *, volume: int = 10) -> TapeBar:
        """Let the next five seconds pass with a bar; its quotes are a tick apart at the close."""
        opens_at = self.market.at
        bar = TapeBar(
            symbol="MES",
            opens_at=opens_at,
            closes_at=opens_at + FIVE_SECONDS,
            open_ticks=BASE + open_,
            high_ticks=BASE + high,
            low_ticks=BASE + low,
            close_ticks=BASE + close,
            volume=volume,
            trades=volume // 2,
            bid_ticks=BASE + close,
            ask_ticks=BASE + close + 1,
        )
        self.market.at = bar.closes_at
        self.market.parts.append(bar)
        self.venue.on_five_second_bar(bar)
        return bar

    def quote(self, bid: int, ask: int, *, bid_size: int = 3, ask_size: int = 4) -> None:
        self.venue.on_quote(Quote(self.market.at, BASE + bid, BASE + ask, bid_size, ask_size))

    def trade(self, price: int, size: int = 2) -> None:
        self.venue.on_trade(Trade(self.market.at, BASE + price, size))

    def pass_time(self, seconds: int) -> None:
        self.market.at += timedelta(seconds=seconds)
        self.venue.advance(self.market.at)

    async def connect(self, client_id: int = 7, *, timeout_seconds: float = 5) -> IB:
        ib = IB()
        ib.RaiseRequestErrors = True
        await ib.connectAsync("127.0.0.1", self.port, clientId=client_id, timeout=timeout_seconds)
        return ib


@asynccontextmanager
async def opened(*, unread_bytes_max: int = UNREAD_BYTES_MAX) -> AsyncIterator[HandFedGateway]:
    """A gateway that listens on a free port, closed at the end."""
    gateway = HandFedGateway(unread_bytes_max)
    gateway.port = await gateway.server.open()
    try:
        yield gateway
    finally:
        await gateway.server.close()


async def greeted(port: int, version: int) -> WireClient:
    """A client of the bare protocol that has started as client number its version."""
    wire = await WireClient.greet(port, f"100..{version}")
    assert (await wire.frame())[0] == str(version)
    wire.send(71, 2, version, "")
    return wire


async def until(is_so: Callable[[], bool], changes: object, seconds: float = 5) -> None:
    """Wait until something is so, looking again whenever the ib_insync event fires."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await changes  # type: ignore[misc]  # eventkit has no types.


def mes() -> Future:
    return Future("MES", "202403", "CME")


class Desk:
    """A connected ib_insync with the traded month qualified, and all errors it was told."""

    def __init__(self, gateway: HandFedGateway, ib: IB, contract: Contract) -> None:
        self.gateway = gateway
        self.ib = ib
        self.contract = contract
        self.errors: list[tuple[int, int]] = []
        ib.errorEvent += lambda request_id, code, *_: self.errors.append((request_id, code))

    async def place(self, action: str, kind: str, price: float = 0, **words: object) -> IbTrade:
        """Place a GTC order of one lot, unless told otherwise, and hear what comes of it."""
        order = Order(action=action, orderType=kind, totalQuantity=1, tif="GTC")
        if kind in {"LMT", "STP"}:
            setattr(order, "lmtPrice" if kind == "LMT" else "auxPrice", price)
        for name, value in words.items():
            setattr(order, name, value)
        trade = self.ib.placeOrder(self.contract, order)
        await self.settle()
        return trade

    async def settle(self) -> None:
        """Hear everything that was told so far: the answer to a question comes behind it."""
        await self.ib.reqCurrentTimeAsync()

    @property
    def statuses(self) -> dict[str, str]:
        """Status by orderRef as the client believes it."""
        return {trade.order.orderRef: trade.orderStatus.status for trade in self.ib.trades()}


def play(
    scene: Callable[[Desk], Awaitable[None]], *, unread_bytes_max: int = UNREAD_BYTES_MAX
) -> None:
    """Run a scene with a gateway that has seen one bar and one client."""

    async def run() -> None:
        async with opened(unread_bytes_max=unread_bytes_max) as gateway:
            gateway.bar(0, 1, -1, 0)
            ib = await gateway.connect()
            (contract,) = await ib.qualifyContractsAsync(mes())
            await scene(Desk(gateway, ib, contract))
            ib.disconnect()

    asyncio.run(run())
