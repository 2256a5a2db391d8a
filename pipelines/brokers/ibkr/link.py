"""One client at the gateway: connected, watched, mended. It lives in the adapter's event loop.

`isConnected()` is not believed: a frozen gateway and a cut to IB's servers leave the socket open.
A silent socket is asked for the time, and closed when no answer comes. Every connection is a new
client of the library, so that nothing of a dead one is read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
    wait_fixed,
)

from engine.broker import ConnectionState
from engine.errors import BrokerMismatch, BrokerTimeout, BrokerUnreachable, ClientIdInUse
from pipelines.brokers.ibkr.client_library import request_error, told_client
from pipelines.brokers.ibkr.connecting import address, chosen_account, open_client
from pipelines.brokers.ibkr.error_codes import LinkReaction, link_reaction
from pipelines.brokers.ibkr.messages import NO_REQUEST, ErrorTold, Message, TimeTold
from pipelines.brokers.ibkr.settings import IbkrSettings

LOG: Final = logging.getLogger(__name__)
MENDED_BY_ITSELF: Final = 2110

Answer = TypeVar("Answer")
OnState = Callable[[ConnectionState, str], None]
OnUp = Callable[[], Awaitable[None]]


class Link:
    """The connection and what is known of its health.

    `hear` gets every message; `read_in` is awaited after each connect and each restoration, before
    the connection is told as up; `on_state` is told what the desk has to know, `on_broken` of an
    error that nobody expected.
    """

    def __init__(
        self,
        settings: IbkrSettings,
        hear: Callable[[Message], None],
        read_in: OnUp,
        on_state: OnState,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.account = ""
        self.is_reading_in = False
        self._hear = hear
        self._read_in = read_in
        self._on_state = on_state
        self._on_broken = on_broken
        self._client: Any = None
        self._is_open = False
        self._is_up = False
        self._is_cut = False
        self._cut_by = 0
        self._is_closing = False
        self._time_told = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mending: asyncio.Task[None] | None = None
        self._down_text = "not connected yet"
        self._address = address(settings)

    # ── For those who use it ────────────────────────────────────────────────────────────────────

    @property
    def client(self) -> Any:
        """The library's client; raises `BrokerUnreachable` unless IB can hear us through it."""
        if not self._is_open or self._is_cut:
            raise self._unreachable()
        return self._client

    def demand_up(self) -> None:
        """Raise `BrokerUnreachable` unless commands are sent and questions asked at the moment."""
        if not self.is_up:
            raise self._unreachable()

    @property
    def trading_client(self) -> Any:
        """The client for orders, which wait until the connection is read in."""
        if self.is_reading_in or not self.is_up or not self._client.client.isConnected():
            raise self._unreachable()
        return self._client

    @property
    def is_up(self) -> bool:
        """Whether commands are sent and questions asked at the moment."""
        return self._is_up and not self._is_cut

    async def connect(self) -> None:
        """Connect, waiting only for a stale session to free our client id.

        Raises `BrokerUnreachable`, `ClientIdInUse` or `BrokerMismatch`.
        """
        if self._is_up:
            return
        patience = self.settings.patience
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ClientIdInUse),
            wait=wait_fixed(patience.busy_client_retry_seconds),
            stop=stop_after_delay(patience.busy_client_seconds),
            reraise=True,
        ):
            with attempt:
                await self._connect_once()

    async def close(self) -> None:
        """Disconnect and stop mending."""
        self._is_closing = True
        self._is_up = False
        self._down_text = "closed"
        tasks = [*self._tasks, *([self._mending] if self._mending else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drop_client()

    async def ask(self, question: Callable[[Any], Awaitable[Answer]], what: str) -> Answer:
        """Await an answer within the time for queries.

        A question without an answer makes the connection suspect, because its answer could be
        taken for that of the next one: it is dropped and made anew. Raises `BrokerTimeout`, and
        `BrokerUnreachable` for a question that is refused: what it asks for may be there again in
        a moment, as contracts are once their farm is back.
        """
        seconds, client = self.settings.patience.query_seconds, self.client
        try:
            async with asyncio.timeout(seconds):
                return await question(client)
        except TimeoutError:
            if client is self._client:  # Else it is gone already, and another one in its place.
                self.drop(f"no answer about {what} in {seconds:g} s")
            raise BrokerTimeout(
                f"{self._address}: no answer about {what} in {seconds:g} s; nothing is known. "
                "The connection is made anew, ask again then"
            ) from None
        except request_error(self.settings.library) as error:
            raise BrokerUnreachable(
                f"{self._address}: the question about {what} was refused "
                f"({error.code}: {error.message}); nothing is known, ask again"
            ) from error
        except ConnectionError as error:
            raise BrokerUnreachable(
                f"{self._address}: the connection was lost before the answer about {what} came"
            ) from error

    def ask_time(self) -> None:
        """Send a question for the broker's time and do not wait for the answer."""
        if self._client is not None and self._client.client.isConnected():
            self._client.client.reqCurrentTime()

    def drop(self, why: str) -> None:
        """Give up the present connection and make a new one."""
        if self._client is not None and not self._is_closing:
            self._drop_client()
            self._lost(why)

    # ── What the gateway says about the connection ──────────────────────────────────────────────

    def on_message(self, message: Message) -> None:
        """Take note of what concerns the connection; called before anybody else hears it."""
        if isinstance(message, TimeTold):
            self._time_told.set()
        elif isinstance(message, ErrorTold) and message.request_id == NO_REQUEST:
            self._on_notice(message)

    def _on_notice(self, told: ErrorTold) -> None:
        match link_reaction(told.code):
            case LinkReaction.CUT:
                self._cut(told)
            case LinkReaction.RESTORED_WITHOUT_DATA:
                self._on_state(ConnectionState.DATA_LOST, f"{told.code}: {told.text}")
                self.start(self._restore())
            case LinkReaction.RESTORED:
                self.start(self._restore())
            case LinkReaction.FARM_OK if self._is_cut and self._cut_by == MENDED_BY_ITSELF:
                self.start(self._restore())  # 2110 has no word of its own for its end.
            case LinkReaction.RECONNECT:
                self.start(self._drop_later(f"{told.code}: {told.text}"))
            case _:
                return

    def _cut(self, told: ErrorTold) -> None:
        why, self._cut_by = f"{told.code}: {told.text}", told.code
        if self._is_up and not self._is_cut:
            self._on_state(ConnectionState.DOWN, why)
        self._is_cut, self._down_text = True, why

    async def _restore(self) -> None:
        """IB hears the gateway again: everything is subscribed anew, whatever was said of it."""
        self._is_cut = False
        client = self._client
        if client is None or not self._is_up:
            return  # It is being connected, and read in then.
        self.is_reading_in = True
        try:
            await self._read_in()
        except (BrokerTimeout, BrokerUnreachable) as error:
            if client is self._client:  # Without what it would have told the link is no use.
                self.drop(f"not read in: {error}")
            raise
        finally:
            self.is_reading_in = False
        if client is self._client and not self._is_cut:
            self._tell_up()

    async def _drop_later(self, why: str) -> None:
        self.drop(why)

    # ── Connecting ──────────────────────────────────────────────────────────────────────────────

    async def _connect_once(self) -> None:
        self._is_cut = False
        client = told_client(self.settings.library, self._hear)
        self._client, self.is_reading_in = client, True
        try:
            await open_client(client, self.settings)
            self._is_open = True
            self.account = chosen_account(client.managedAccounts(), self.settings)
            client.disconnectedEvent += self._on_disconnected
            client.timeoutEvent += self._on_silence
            await self._read_in()
            self._demand_same(client)
            self._tell_up()
        except BaseException:
            self._is_up, self.is_reading_in = False, False
            self._drop_client()
            raise

    def _demand_same(self, client: Any) -> None:
        if client is not self._client or self._is_cut:
            raise BrokerUnreachable(f"{self._address}: lost while it was read in")

    def _tell_up(self) -> None:
        self.is_reading_in, self._is_up = False, True
        self._client.setTimeout(self.settings.patience.silence_seconds)
        self._on_state(ConnectionState.UP, f"{self.account} at {self._address}")

    # ── Losing and mending ──────────────────────────────────────────────────────────────────────

    def _on_disconnected(self) -> None:
        if self._client is not None and not self._is_closing:
            self._client, self._is_open = None, False
            self._lost("the gateway closed the connection")

    def _lost(self, why: str) -> None:
        was_up, self._is_up, self._down_text = self._is_up, False, why
        if was_up and not self._is_cut:
            self._on_state(ConnectionState.DOWN, why)
        if was_up and self._mending is None:
            self._mending = asyncio.get_running_loop().create_task(self._mend())
            self._mending.add_done_callback(self._done)

    async def _mend(self) -> None:
        patience = self.settings.patience
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((BrokerUnreachable, BrokerTimeout)),
                wait=wait_exponential_jitter(
                    multiplier=patience.retry_first_seconds,
                    max=patience.retry_seconds_max,
                    jitter=patience.retry_first_seconds,
                ),
                stop=stop_after_delay(patience.give_up_seconds),
            ):
                with attempt:
                    LOG.info("connecting, attempt %s", attempt.retry_state.attempt_number)
                    await self._connect_once()
        except (RetryError, BrokerMismatch) as error:
            self._down_text = f"given up: {error}"
            self._on_state(ConnectionState.DOWN, self._down_text)
        finally:
            self._mending = None

    def _on_silence(self, _idle_seconds: float) -> None:
        self.start(self._probe())

    async def _probe(self) -> None:
        """Ask a silent gateway for the time; no answer means that nobody is there."""
        client, patience = self._client, self.settings.patience
        self._time_told.clear()
        self.ask_time()
        try:
            async with asyncio.timeout(patience.probe_seconds):
                await self._time_told.wait()
        except TimeoutError:
            if client is self._client:
                self.drop(f"silent, and no answer to a question in {patience.probe_seconds:g} s")
            return
        if client is self._client and client is not None:
            client.setTimeout(patience.silence_seconds)

    def _drop_client(self) -> None:
        client, self._client, self._is_open = self._client, None, False
        if client is None:
            return
        client.wrapper.hear = _deaf
        client.disconnectedEvent -= self._on_disconnected
        client.timeoutEvent -= self._on_silence
        transport = client.client.conn.transport
        with suppress(OSError):
            client.disconnect()
        if transport is not None:
            transport.abort()  # A frozen peer would keep a polite close waiting.

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run some work of ours until it ends or the link is closed; errors are told."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BrokerTimeout | BrokerUnreachable):
            LOG.warning("%s", error)
        elif error is not None:
            self._on_broken(error)

    def _unreachable(self) -> BrokerUnreachable:
        why = self._down_text if not self._is_up or self._is_cut else "it is being read in"
        return BrokerUnreachable(
            f"{self._address}: no connection to the broker ({why}); nothing was sent or asked. "
            "It is being mended: try again"
        )


def _deaf(_: Message) -> None:
    """What a dropped client still says is of no interest."""
