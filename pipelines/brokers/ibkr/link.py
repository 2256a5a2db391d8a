"""One client at the gateway: connected, watched, mended. It lives in the adapter's event loop.

`isConnected()` is not believed: a frozen gateway and a cut to IB's servers leave the socket open.
A silent socket is asked for the time, and closed when no answer comes. Every connection is a new
client of the library, so that nothing of a dead one is read.
"""

import asyncio
import logging
from asyncio import FIRST_COMPLETED
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
from pipelines.brokers.ibkr.client_library import told_client
from pipelines.brokers.ibkr.error_codes import LinkReaction, link_reaction
from pipelines.brokers.ibkr.market_clock import ClockKind
from pipelines.brokers.ibkr.messages import NO_REQUEST, ErrorTold, Message, TimeTold
from pipelines.brokers.ibkr.settings import IbkrSettings

LOG: Final = logging.getLogger(__name__)
PAPER_PREFIX: Final = "DU"
CONNECT_STEPS: Final = 3
"""The library waits once for the socket, once for its first questions, once for executions."""

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
        self.connections = 0
        self._hear = hear
        self._read_in = read_in
        self._on_state = on_state
        self._on_broken = on_broken
        self._client: Any = None
        self._is_open = False
        self._is_up = False
        self._is_cut = False
        self._is_closing = False
        self._is_id_busy = False
        self._time_told = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mending: asyncio.Task[None] | None = None
        self._down_text = "not connected yet"

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
        taken for that of the next one: it is dropped and made anew. Raises `BrokerTimeout`.
        """
        seconds = self.settings.patience.query_seconds
        try:
            async with asyncio.timeout(seconds):
                return await question(self.client)
        except TimeoutError:
            self.drop(f"no answer about {what} in {seconds:g} s")
            raise BrokerTimeout(
                f"{self._address}: no answer about {what} in {seconds:g} s; nothing is known. "
                "The connection is made anew, ask again then"
            ) from None
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
                self._cut(f"{told.code}: {told.text}")
            case LinkReaction.RESTORED_WITHOUT_DATA:
                self._on_state(ConnectionState.DATA_LOST, f"{told.code}: {told.text}")
                self.start(self._restore())
            case LinkReaction.RESTORED:
                self.start(self._restore())
            case LinkReaction.RECONNECT:
                self.start(self._drop_later(f"{told.code}: {told.text}"))
            case LinkReaction.CLIENT_ID_IN_USE:
                self._is_id_busy = True
            case _:
                return

    def _cut(self, why: str) -> None:
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
        finally:
            self.is_reading_in = False
        if client is self._client and not self._is_cut:
            self._tell_up()

    async def _drop_later(self, why: str) -> None:
        self.drop(why)

    # ── Connecting ──────────────────────────────────────────────────────────────────────────────

    async def _connect_once(self) -> None:
        self._is_id_busy, self._is_cut = False, False
        settings, seconds = self.settings, self.settings.patience.connect_seconds
        client, account = told_client(settings.library, self._hear), settings.account
        if settings.clock is ClockKind.TOLD:
            client.client.MaxRequests = 0  # IB's limit of messages a second is not a simulation's.
        self._client, self.is_reading_in = client, True
        try:
            await self._open(
                client,
                client.connectAsync(
                    settings.host, settings.port, settings.client_id, seconds, account=account
                ),
            )
            self._is_open = True
            self._check_account(client.managedAccounts())
            client.disconnectedEvent += self._on_disconnected
            client.timeoutEvent += self._on_silence
            await self._read_in()
            self._demand_same(client)
            self._tell_up()
        except (OSError, TimeoutError, BrokerTimeout) as error:
            self._fail()
            if self._is_id_busy:
                raise ClientIdInUse(
                    f"{self._address}: client id {settings.client_id} is in use (326); end the "
                    "other program that uses it, or wait until the gateway lets its session go"
                ) from error
            why = str(error) or type(error).__name__
            raise BrokerUnreachable(
                f"{self._address}: cannot connect ({why}); check that IB Gateway "
                "runs, is logged in and accepts API clients on this port"
            ) from error
        except BaseException:
            self._fail()
            raise

    async def _open(self, client: Any, connecting: Coroutine[Any, Any, Any]) -> None:
        """Await a connection; the library waits its whole time for one that was refused."""
        refused = asyncio.Event()
        client.client.apiError += lambda _: refused.set()
        opening = asyncio.create_task(connecting)
        refusal = asyncio.create_task(refused.wait())
        seconds = CONNECT_STEPS * self.settings.patience.connect_seconds
        try:
            await asyncio.wait((opening, refusal), timeout=seconds, return_when=FIRST_COMPLETED)
            await asyncio.sleep(0)  # The library may be about to say more than that it failed.
            if not opening.done():
                raise ConnectionError("the gateway closed the connection, or did not answer")
            opening.result()
        finally:
            refusal.cancel()
            opening.cancel()
            await asyncio.gather(opening, refusal, return_exceptions=True)

    def _demand_same(self, client: Any) -> None:
        if client is not self._client or self._is_cut:
            raise BrokerUnreachable(f"{self._address}: lost while it was read in")

    def _tell_up(self) -> None:
        self.is_reading_in, self._is_up = False, True
        self.connections += 1
        self._client.setTimeout(self.settings.patience.silence_seconds)
        self._on_state(ConnectionState.UP, f"{self.account} at {self._address}")

    def _check_account(self, managed: list[str]) -> None:
        """Choose the account; raises `BrokerMismatch` when it is not the one to be traded."""
        settings = self.settings
        names = ", ".join(managed) or "none"
        if not settings.account and len(managed) != 1:
            raise BrokerMismatch(
                f"CREDENCE_IBKR_ACCOUNT: the login has the accounts {names}; name the one to trade"
            )
        account = settings.account or managed[0]
        if account not in managed:
            raise BrokerMismatch(
                f"CREDENCE_IBKR_ACCOUNT: expected {account}, the login has {names}; "
                "correct the setting or log in with the other user"
            )
        if settings.wants_paper and not account.startswith(PAPER_PREFIX):
            raise BrokerMismatch(
                f"{self._address}: expected a paper account ({PAPER_PREFIX}…), got {account}; "
                "log the gateway in to paper trading, or point CREDENCE_IBKR_PORT to it"
            )
        self.account = account

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

    def _fail(self) -> None:
        self._is_up, self.is_reading_in = False, False
        self._drop_client()

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

    @property
    def _address(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"


def _deaf(_: Message) -> None:
    """What a dropped client still says is of no interest."""
