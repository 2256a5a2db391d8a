"""A simulated gateway in a process of its own that notes when it told what, to be measured."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, Final, TypeVar

import polars as pl

from contracts import load_rules
from engine.rules import Rules
from pipelines.campaign.world_laws import is_covered
from pipelines.gateway.assembly import Gateway, GatewayAddress, GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.told import FillTold, OrderTold, Told
from pipelines.heap import keep_one_heap

EQUITY_USD: Final = Decimal(5_000)
SESSIONS_KNOWN: Final = 3
"""Sessions up to the first that is played; those before it are the gateway's history."""

LEAVE_SECONDS_MAX: Final = 30.0
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Readings:
    """When a gateway began to write and had read, in readings of `perf_counter`.

    `bar_at`: the 5-second bar that closes a minute, by that instant. `order_at`: the first time an
    order was taken, by its ref. `clients`: how many were connected from when on. `naked`: from when
    to when a position had no working stop of its size, null while it has none. On Linux the
    readings of two processes are of one clock.
    """

    bar_at: dict[datetime, float] = field(default_factory=dict)
    order_at: dict[str, float] = field(default_factory=dict)
    clients: list[tuple[float, int]] = field(default_factory=list)
    naked: list[tuple[float, float | None]] = field(default_factory=list)

    def follow(self, gateway: Gateway) -> None:
        """Note everything the gateway tells from now on; to be called between its events."""
        outbox = gateway.venue.books.outbox
        tell = outbox.listener

        def hear(told: Told) -> None:
            if isinstance(told, TapeBar) and told.closes_at.second == 0:
                self.bar_at[told.closes_at] = perf_counter()
            elif isinstance(told, OrderTold):
                self.order_at.setdefault(told.order.request.order_ref, perf_counter())
            if isinstance(told, OrderTold | FillTold):
                self._look(gateway)
            tell(told)

        def hear_client(_words: str) -> None:
            self.clients.append((perf_counter(), len(gateway.server.client_ids)))

        outbox.listener = hear
        gateway.server.on_clients_change = hear_client

    def _look(self, gateway: Gateway) -> None:
        """Note when a position lost the cover of its stop, and when it had it again."""
        is_naked = not is_covered(gateway.venue.exchange.truth(gateway.clock.now()))
        last_since, last_until = self.naked[-1] if self.naked else (0.0, 0.0)
        if is_naked and last_until is not None:
            self.naked.append((perf_counter(), None))
        elif not is_naked and last_until is None:
            self.naked[-1] = (last_since, perf_counter())


Asked = Callable[[RunningGateway, Readings], Answer]
"""What is asked of a gateway in its own process: a function that can be pickled."""


@dataclass(frozen=True, slots=True)
class TimedGateway:
    """The far end of a gateway in another process."""

    address: GatewayAddress
    _pipe: Connection

    @property
    def port(self) -> int:
        return self.address.port

    def ask(self, asked: Asked[Answer]) -> Answer:
        """What a function says there, which is given the gateway and its readings.

        What it raises there is raised here; the gateway plays on.
        """
        self._pipe.send(asked)
        answer: Answer | Exception = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def slow_down(self, speed: float) -> None:
        """Go on by the wall clock, so many market seconds in one; returns once it does."""
        self.ask(partial(_slow_down, speed=speed))

    def read(self) -> Readings:
        """What was noted so far."""
        return self.ask(_read)


class GatewayProcess:
    """A process that plays sessions at full speed, one gateway after the other."""

    def __init__(self, bars: pl.DataFrame) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(far, bars), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @contextmanager
    def playing(self, *session_dates: date) -> Iterator[TimedGateway]:
        """One gateway that holds the first bell back until somebody subscribes."""
        self._pipe.send(session_dates)
        address: GatewayAddress = self._pipe.recv()
        try:
            yield TimedGateway(address, self._pipe)
        finally:
            with suppress(ConnectionError, EOFError):
                self._pipe.send(None)
                self._pipe.recv()

    def close(self) -> None:
        """End the process; it may have ended already, by an error of its own."""
        with suppress(ConnectionError):
            self._pipe.send(None)
        self._process.join(LEAVE_SECONDS_MAX)
        self._process.close()


@contextmanager
def gateway_of(
    bars: pl.DataFrame, session_dates: Sequence[date], rules: Rules
) -> Iterator[RunningGateway]:
    """A gateway in this process that plays some of the sessions at full speed."""
    first, last = min(session_dates), max(session_dates)
    earlier = bars.filter(pl.col("session_date") <= first)["session_date"].unique().sort()
    since = earlier.tail(SESSIONS_KNOWN)[0]
    known = bars.filter(pl.col("session_date").is_between(since, last))
    settings = GatewaySettings(session_dates=tuple(session_dates), equity_usd=EQUITY_USD)
    with running_gateway(known, rules, settings) as gateway:
        yield gateway


def _serve(pipe: Connection, bars: pl.DataFrame) -> None:
    keep_one_heap()
    rules = load_rules()
    while (session_dates := pipe.recv()) is not None:
        readings = Readings()
        with gateway_of(bars, session_dates, rules) as gateway:
            gateway.call(readings.follow)
            pipe.send(gateway.address)
            _obey(pipe, gateway, readings)
        pipe.send(None)


def _obey(pipe: Connection, gateway: RunningGateway, readings: Readings) -> None:
    while (asked := pipe.recv()) is not None:
        try:
            answer: Any = asked(gateway, readings)
        except Exception as error:  # noqa: BLE001 - It is raised where it was asked.
            answer = error
        pipe.send(answer)


def _read(gateway: RunningGateway, readings: Readings) -> Readings:
    return gateway.call(lambda _: deepcopy(readings))


def _slow_down(gateway: RunningGateway, _readings: Readings, *, speed: float) -> None:
    gateway.call(partial(_go_at, pace=Pace(speed=speed)))


def _go_at(gateway: Gateway, *, pace: Pace) -> None:
    gateway.clock.jump(gateway.clock.now())
    gateway.clock.pace = pace
