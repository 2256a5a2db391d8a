"""A simulated gateway in a process of its own that notes when it told what, to be measured."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Final

import polars as pl

from contracts import load_rules
from engine.rules import Rules
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.told import OrderTold, Told

EQUITY_USD: Final = Decimal(5_000)
SESSIONS_KNOWN: Final = 3
"""Sessions up to the one that is played; those before it are the gateway's history."""

LEAVE_SECONDS_MAX: Final = 30.0
_READ: Final = "read"


@dataclass(slots=True)
class Readings:
    """When a gateway began to write and had read, in readings of `perf_counter`.

    `bar_at`: the 5-second bar that closes a minute, by that instant. `order_at`: the first time an
    order was taken, by its ref. On Linux the readings of two processes are of one clock.
    """

    bar_at: dict[datetime, float] = field(default_factory=dict)
    order_at: dict[str, float] = field(default_factory=dict)

    def follow(self, gateway: Gateway) -> None:
        """Note everything the gateway tells from now on; to be called between its events."""
        outbox = gateway.venue.books.outbox
        tell = outbox.listener

        def hear(told: Told) -> None:
            if isinstance(told, TapeBar) and told.closes_at.second == 0:
                self.bar_at[told.closes_at] = perf_counter()
            elif isinstance(told, OrderTold):
                self.order_at.setdefault(told.order.request.order_ref, perf_counter())
            tell(told)

        outbox.listener = hear


@dataclass(frozen=True, slots=True)
class TimedGateway:
    """The far end of a gateway in another process, which plays one session."""

    port: int
    _pipe: Connection

    def slow_down(self, speed: float) -> None:
        """Go on by the wall clock, so many market seconds in one; returns once it does."""
        self._pipe.send(speed)
        self._pipe.recv()

    def read(self) -> Readings:
        """What was noted so far."""
        self._pipe.send(_READ)
        readings: Readings = self._pipe.recv()
        return readings


class GatewayProcess:
    """A process that plays one session after the other, each at a new gateway at full speed."""

    def __init__(self, bars: pl.DataFrame) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(far, bars), daemon=True)
        self._process.start()

    @contextmanager
    def playing(self, session_date: date) -> Iterator[TimedGateway]:
        """A gateway that holds the first bell back until somebody subscribes."""
        self._pipe.send(session_date)
        port: int = self._pipe.recv()
        yield TimedGateway(port, self._pipe)
        self._pipe.send(None)
        self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(LEAVE_SECONDS_MAX)
        self._process.close()


@contextmanager
def gateway_of(bars: pl.DataFrame, session_date: date, rules: Rules) -> Iterator[RunningGateway]:
    """A gateway in this process that plays one of the sessions at full speed."""
    dates = bars.filter(pl.col("session_date") <= session_date)["session_date"].unique().sort()
    known = bars.filter(pl.col("session_date").is_in(dates.tail(SESSIONS_KNOWN).implode()))
    settings = GatewaySettings(session_dates=(session_date,), equity_usd=EQUITY_USD)
    with running_gateway(known, rules, settings) as gateway:
        yield gateway


def _serve(pipe: Connection, bars: pl.DataFrame) -> None:
    rules = load_rules()
    while (session_date := pipe.recv()) is not None:
        readings = Readings()
        with gateway_of(bars, session_date, rules) as gateway:
            gateway.call(readings.follow)
            pipe.send(gateway.address.port)
            _obey(pipe, gateway, readings)
        pipe.send(None)


def _obey(pipe: Connection, gateway: RunningGateway, readings: Readings) -> None:
    while (asked := pipe.recv()) is not None:
        if isinstance(asked, float):
            gateway.call(partial(_go_at, pace=Pace(speed=asked)))
        pipe.send(gateway.call(lambda _: deepcopy(readings)))


def _go_at(gateway: Gateway, *, pace: Pace) -> None:
    gateway.clock.jump(gateway.clock.now())
    gateway.clock.pace = pace
