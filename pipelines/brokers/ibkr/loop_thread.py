"""An asyncio loop in a thread of its own, with a synchronous door that never waits for ever."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.errors import BrokerTimeout, BrokerUnreachable

Answer = TypeVar("Answer")


class LoopThread:
    """Runs coroutines from other threads; it is started once and stopped once."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, if it is not running."""
        if not self._thread.is_alive():
            self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def call(self, work: Coroutine[Any, Any, Answer], timeout_seconds: float, what: str) -> Answer:
        """The coroutine's answer, or its error; raises `BrokerTimeout` when the time is over.

        What has not ended by then is cancelled. Raises `BrokerUnreachable` without a running loop.
        """
        if not self.is_running:
            work.close()
            raise BrokerUnreachable(f"{what}: the adapter is not connected; call connect() first")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_seconds)
        except concurrent.futures.CancelledError:
            raise BrokerUnreachable(f"{what}: the adapter was closed meanwhile") from None
        except TimeoutError:
            if future.done():
                raise  # The coroutine's own, which says more than we could.
            future.cancel()
            raise BrokerTimeout(
                f"{what}: no end in {timeout_seconds:g} s; nothing is known, ask the broker"
            ) from None

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a coroutine run, and do not wait for it."""
        if self.is_running:
            asyncio.run_coroutine_threadsafe(work, self._loop)
        else:
            work.close()

    def stop(self) -> None:
        """End the loop and its thread; one that was never started is only let go."""
        if self.is_running:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        elif not self._loop.is_closed():
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
