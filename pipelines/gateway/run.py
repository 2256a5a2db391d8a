"""A gateway in a thread and event loop of its own, for tests, the demo and rehearsals."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final, TypeVar

import polars as pl

from engine.rules import Rules
from pipelines.gateway.assembly import Gateway, GatewayAddress, GatewaySettings
from pipelines.gateway.faults import read_change

THREAD_SECONDS_MAX: Final = 120.0
"""Longer than a start or a call takes on a machine that has thirty other things to do."""

Answer = TypeVar("Answer")


class RunningGateway:
    """A gateway that plays in another thread; every call here is safe from any thread."""

    def __init__(
        self, gateway: Gateway, address: GatewayAddress, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.address = address
        self._gateway = gateway
        self._loop = loop
        self._leaving = asyncio.Event()

    def call(self, function: Callable[[Gateway], Answer]) -> Answer:
        """What a function of the gateway returns, called between two of its events."""

        async def called() -> Answer:
            return function(self._gateway)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(THREAD_SECONDS_MAX)

    def fault(self, name: str, turn: str = "on", **numbers: float) -> None:
        """Switch a fault by its name, with the numbers it takes; raises `InputRefused`."""
        change = read_change({"fault": name, "turn": turn, **numbers}, "fault")
        self.call(lambda gateway: gateway.change(change))

    def status(self) -> Mapping[str, Any]:
        """What the gateway's control port says of it."""
        return self.call(Gateway.status)

    def wait_until_over(self, timeout_seconds: float) -> bool:
        """Return when the last session was played, or False when the wall time is over."""
        return self._wait(self._gateway.is_over.wait(), timeout_seconds)

    def wait_until_empty(self, timeout_seconds: float) -> bool:
        """Return when no client is connected any more, or False when the wall time is over."""
        return self._wait(self._gateway.server.wait_until_empty(), timeout_seconds)

    def leave(self) -> None:
        """Have the gateway end; it may have ended already."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leaving.set)

    def _wait(self, waiting: Coroutine[Any, Any, object], timeout_seconds: float) -> bool:
        waited = asyncio.run_coroutine_threadsafe(waiting, self._loop)
        try:
            waited.result(timeout_seconds)
        except TimeoutError:
            waited.cancel()
            return False
        return True

    async def play(self) -> None:
        """Play until somebody leaves; to be awaited by the gateway's own thread alone."""
        await self._gateway.play_until(self._leaving)


@contextmanager
def running_gateway(
    bars: pl.DataFrame,
    rules: Rules,
    settings: GatewaySettings | None = None,
    *,
    port: int = 0,
    control_port: int = 0,
) -> Iterator[RunningGateway]:
    """A gateway that plays bars until the block ends; 0 takes any free port.

    Raises what `Gateway` raises, and `OSError` when a port is taken. What the player raises ends
    the gateway, and is raised when the block ends.
    """
    started: Future[RunningGateway] = Future()
    ended: Future[None] = Future()

    async def live() -> None:
        gateway = Gateway(bars, rules, settings or GatewaySettings())
        address = await gateway.open(port, control_port)
        try:
            running = RunningGateway(gateway, address, asyncio.get_running_loop())
            started.set_result(running)
            await running.play()
        finally:
            await gateway.close()

    def run() -> None:
        try:
            asyncio.run(live())
        except Exception as error:  # noqa: BLE001 - It is raised in the thread that asked.
            (ended if started.done() else started).set_exception(error)
        else:
            ended.set_result(None)

    thread = Thread(target=run, name="gateway", daemon=True)
    thread.start()
    running = started.result(THREAD_SECONDS_MAX)
    try:
        yield running
    finally:
        running.leave()
        thread.join(THREAD_SECONDS_MAX)
    ended.result(0)
