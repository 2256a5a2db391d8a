"""The adapter over a real loopback socket, with a hand on the market and on the wire behind it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import polars as pl
from exchange_tables import MINUTE, OPEN_AT, instant

from contracts import load_rules
from engine.bars import BAR_COLUMNS
from engine.rules import Rules
from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings, Library, Patience
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.market import Quote
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.gateway.tape import TapeBar, five_second_bars

Answer = TypeVar("Answer")
BOUND_SECONDS = 20.0
QUICK = Patience(
    connect_seconds=2.0,
    query_seconds=2.0,
    send_seconds=2.0,
    silence_seconds=0.5,
    probe_seconds=0.5,
    busy_client_seconds=3.0,
    busy_client_retry_seconds=0.1,
    retry_first_seconds=0.02,
    retry_seconds_max=0.1,
    give_up_seconds=60.0,
    bar_age_seconds=60.0,
    ask_again_seconds=60.0,
    history_seconds=5.0,
)
"""Waits as short as a test can bear; what they bound is the same."""

IMPATIENT = replace(QUICK, bar_age_seconds=0.3, ask_again_seconds=0.3)
"""Misses bars at once, which a market moved by hand can only bear where it is meant."""


def frictionless(rules: Rules) -> Rules:
    """The rules with an exchange that neither slips nor waits."""
    execution = replace(
        rules.execution,
        slippage_ticks_per_side=0.0,
        slippage_unknown_ticks=0.0,
        order_latency_ms=0,
    )
    return replace(rules, execution=execution)


RULES = frictionless(load_rules())


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Return once something is so; what another process tells cannot be awaited by an event."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {BOUND_SECONDS:g} s: {what}")
        time.sleep(0.002)


def flat_session(price_ticks: int, *, minutes: int = 390) -> pl.DataFrame:
    """The session of `exchange_tables` with one price; only its dates matter to a bench."""
    rows = [
        {
            "symbol": "MES",
            "session_date": OPEN_AT.date(),
            "opens_at": instant(minute),
            "closes_at": instant(minute + 1),
            "minute": minute,
            "open_ticks": price_ticks,
            "high_ticks": price_ticks + 1,
            "low_ticks": price_ticks - 1,
            "close_ticks": price_ticks,
            "volume": 600 + minute,
            "trades": 300,
            "bid_ticks": price_ticks - 1,
            "ask_ticks": price_ticks,
            "arrived_at": None,
            "source": "flat",
        }
        for minute in range(minutes)
    ]
    return pl.DataFrame(rows, schema=BAR_COLUMNS)


class GatewayBench:
    """A `Bench` of the shared suite: one adapter, one gateway, and no player.

    The gateway's market is moved by `play` and `tell` alone, so that nothing happens by itself.
    """

    def __init__(
        self,
        library: Library = Library.IB_INSYNC,
        *,
        patience: Patience = QUICK,
        client_id: int = 1,
        price_ticks: int = 100,
    ) -> None:
        self._stack = ExitStack()
        self.gateway: RunningGateway = self._stack.enter_context(
            running_gateway(
                flat_session(price_ticks),
                RULES,
                GatewaySettings(equity_usd=Decimal(5000), waits_for_subscriber=True),
            )
        )
        self.settings = IbkrSettings(
            port=self.gateway.address.port,
            client_id=client_id,
            library=library,
            clock=ClockKind.TOLD,
            patience=patience,
        )
        self.call(_stand_still)
        self.jump(instant(1))
        self.broker = self.made()
        self.broker.connect()
        self.broker.subscribe("MES")  # The bars tell the adapter what time it is.
        self.settle()

    # ── The suite's hand on market and wire ─────────────────────────────────────────────────────

    def play(
        self, minute: int, open_ticks: int, high_ticks: int, low_ticks: int, close_ticks: int
    ) -> None:
        for part in parts_of(minute, open_ticks, high_ticks, low_ticks, close_ticks):
            self.tell(part)
        self.jump(instant(minute + 1))
        self.settle()

    def settle(self) -> None:
        """Return when the gateway has answered a question asked after everything before."""
        if self.broker.is_up:
            self.broker.positions()

    def lose_connection(self) -> None:
        self.gateway.fault("326")
        self.gateway.fault("disconnect")
        eventually(lambda: not self.broker.is_up, "the connection is noticed to be lost")

    def restore_connection(self) -> None:
        self.gateway.fault("326", "off")
        eventually(lambda: self.broker.is_up, "the connection is restored")

    def close(self) -> None:
        self.broker.close()
        self._stack.close()

    # ── What else a test may want ───────────────────────────────────────────────────────────────

    def made(self, **changes: object) -> IbkrBroker:
        """Another adapter to the same gateway, not connected."""
        return IbkrBroker(replace(self.settings, **changes), RULES)  # type: ignore[arg-type]

    def call(self, function: Callable[[Gateway], Answer]) -> Answer:
        return self.gateway.call(function)

    def jump(self, at: datetime) -> None:
        """Let market time pass to an instant, without a price."""

        def jump(gateway: Gateway) -> None:
            gateway.clock.jump(at)
            gateway.venue.advance(at)

        self.call(jump)

    def tell(self, part: TapeBar) -> None:
        """Let the market trade five seconds."""

        def tell(gateway: Gateway) -> None:
            gateway.clock.jump(part.closes_at)
            gateway.venue.on_five_second_bar(part)

        self.call(tell)

    def quote(self, bid_ticks: int | None, ask_ticks: int | None) -> None:
        def tell(gateway: Gateway) -> None:
            gateway.venue.on_quote(Quote(gateway.clock.now(), bid_ticks, ask_ticks))

        self.call(tell)


def parts_of(
    minute: int, open_ticks: int, high_ticks: int, low_ticks: int, close_ticks: int
) -> Sequence[TapeBar]:
    """The twelve parts of a minute counted from the open."""
    whole = TapeBar(
        symbol="MES",
        opens_at=instant(minute),
        closes_at=instant(minute) + MINUTE,
        open_ticks=open_ticks,
        high_ticks=high_ticks,
        low_ticks=low_ticks,
        close_ticks=close_ticks,
        volume=600,
        trades=300,
    )
    return five_second_bars(whole)


def part_at(number: int, price_ticks: int = 100) -> TapeBar:
    """Five quiet seconds, counted in fives from the open."""
    opens_at = OPEN_AT + number * timedelta(seconds=5)
    return TapeBar(
        symbol="MES",
        opens_at=opens_at,
        closes_at=opens_at + timedelta(seconds=5),
        open_ticks=price_ticks,
        high_ticks=price_ticks,
        low_ticks=price_ticks,
        close_ticks=price_ticks,
        volume=10,
        trades=5,
    )


@contextmanager
def bench(**options: object) -> Iterator[GatewayBench]:
    made = GatewayBench(**options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def _stand_still(gateway: Gateway) -> None:
    """Keep the player from ever starting: a subscription would ring the first bell."""
    gateway.clock.pause()
