"""The server: connections in, messages to their handlers, and what is told to its client."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from engine.errors import InputRefused
from pipelines.gateway import account, data_requests, order_requests
from pipelines.gateway.client import UNREAD_BYTES_MAX, Client
from pipelines.gateway.control import LOOPBACK
from pipelines.gateway.market import Quote, Trade
from pipelines.gateway.notices import CONNECTIVITY, FARMS_OK
from pipelines.gateway.order_desk import OrderDesk
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.times import in_login_zone
from pipelines.gateway.told import AccountTold, FillTold, OrderEventTold, Told, WhatIfTold
from pipelines.gateway.unserved import answer_unserved
from pipelines.gateway.venue import Venue
from pipelines.gateway.wire import (
    BrokenFrame,
    Fields,
    agreed_version,
    fields_of,
    framed,
    read_frame,
)

LOG: Final = logging.getLogger(__name__)
HELLO_SECONDS_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 64
UNTOLD_MAX: Final = 10_000
_START_API: Final = 71
_CURRENT_TIME: Final = 49


class GatewayServer:
    """Serves one venue to many clients on loopback; an `Audience` for the player.

    Everything runs in the event loop that `open` was called in. `subscribed` is set once any
    client follows market data. A client with more than `unread_bytes_max` unread is dropped.
    """

    def __init__(self, venue: Venue, *, unread_bytes_max: int = UNREAD_BYTES_MAX) -> None:
        self.venue = venue
        self.desk = OrderDesk(venue)
        self.subscribed = asyncio.Event()
        self.on_clients_change: Callable[[str], None] = LOG.info
        """Called with words when a client has come or gone."""
        venue.books.outbox.listener = self._on_told
        self._clients: dict[int, Client] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._unread_bytes_max = unread_bytes_max
        self._progress = asyncio.Event()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._is_lost = False
        self._untold: list[OrderEventTold | WhatIfTold | AccountTold] = []
        self._waiting = deque[tuple[Client, int, Fields]](maxlen=UNTOLD_MAX)

    async def open(self, port: int = 0) -> int:
        """Listen on a loopback port, any free one for 0, and return it; `OSError` if taken."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
            self.disconnect()
            await self._server.wait_closed()

    @property
    def client_ids(self) -> list[int]:
        """The ids of those connected, in order of arrival."""
        return list(self._clients)

    async def wait_until_empty(self) -> None:
        """Return once no connection is open, not even one that has not said hello."""
        while self._writers:
            self._progress.clear()
            await self._progress.wait()
        await asyncio.sleep(0)  # The last one's socket is closed in this turn of the loop.

    # ── Faults that happen at once ──────────────────────────────────────────────────────────────

    def disconnect(self) -> None:
        """Close every connection at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def broadcast(self, code: int, text: str) -> None:
        """Tell every client an error that is about no request."""
        for client in self._clients.values():
            client.error(-1, code, text)

    def lose_connectivity(self) -> None:
        """1100: sockets stay, but no data comes and no order leaves; the exchange goes on."""
        self._is_lost = True
        self.broadcast(1100, CONNECTIVITY[1100])

    def restore_connectivity(self, *, data_lost: bool) -> None:
        """1101 (subscriptions are gone) or 1102; then tell what was missed and send what waited."""
        code = 1101 if data_lost else 1102
        self._is_lost = False
        if data_lost:
            for client in self._clients.values():
                client.feeds.clear()
        self.broadcast(code, CONNECTIVITY[code])
        untold, self._untold = self._untold, []
        for told in untold:
            self._on_told(told)
        while self._waiting:
            client, message, fields = self._waiting.popleft()
            with _answering_unreadable(client):
                if not client.is_closed:
                    self._dispatch(client, message, fields)

    def freeze(self) -> None:
        """Read nothing and send nothing, with every socket open, until `thaw`."""
        self._thawed.clear()
        for client in self._clients.values():
            client.hold()

    def thaw(self) -> None:
        """Go on: what came in and what was told meanwhile is served now."""
        self._thawed.set()
        for client in self._clients.values():
            client.release()

    # ── The pace of the clients ─────────────────────────────────────────────────────────────────

    async def caught_up(self, timeout_seconds: float) -> bool:
        """See `Audience.caught_up`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        if self.subscribed.is_set() and not await self._is_followed(timeout_seconds):
            return False
        while True:
            now = loop.time()
            waits = [client.pace.wait_seconds(now) for client in self._clients.values()]
            if all(wait == 0 for wait in waits):
                return True
            if now >= deadline:
                return False
            longest = max((deadline - now if wait is None else wait for wait in waits), default=0.0)
            self._progress.clear()
            await _set_within(self._progress, min(longest, deadline - now))

    async def _is_followed(self, timeout_seconds: float) -> bool:
        """Whether any client follows the market; one that was lost is given time to come back."""
        if any(client.feeds.by_id for client in self._clients.values()):
            return True
        self.subscribed.clear()
        if await _set_within(self.subscribed, timeout_seconds):
            return True
        self.subscribed.set()
        return False

    # ── Connections ─────────────────────────────────────────────────────────────────────────────

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its hello to its end; whatever it does, only it is closed for it."""
        if len(self._writers) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._writers.add(writer)
        client: Client | None = None
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX):
                client = await self._welcome(reader, writer)
            while not client.is_closed:
                body = await read_frame(reader)
                await self._thawed.wait()
                self._receive(client, body)
                await asyncio.sleep(0)  # A client that floods takes turns with the others.
        except BrokenFrame as error:
            LOG.warning("%s is dropped: %s", client or "a stranger", error)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # A cancel ends this task in any case; let through, asyncio would log it as a failure.
            LOG.debug("%s is gone", client or "a stranger")
        finally:
            self._writers.discard(writer)
            if client is not None:
                self._part(client)
            self._progress.set()
            writer.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Client:
        start = await reader.readexactly(4)
        if start != b"API\0":
            raise BrokenFrame(f"expected API and NUL, got {start!r}")
        version = agreed_version(await read_frame(reader))
        await self._thawed.wait()
        writer.write(framed(version, in_login_zone(self.venue.market.now())))
        return Client(writer, version, self._unread_bytes_max)

    def _part(self, client: Client) -> None:
        client.is_closed = True
        if client.client_id is not None and self._clients.get(client.client_id) is client:
            del self._clients[client.client_id]
            self.desk.forget_staged(client.client_id)
            self.on_clients_change(f"{client} is gone")

    def _receive(self, client: Client, body: bytes) -> None:
        """Serve one frame; a request that cannot be read costs an error, not the connection."""
        fields = Fields(fields_of(body))
        with _answering_unreadable(client):
            message = fields.integer()
            if client.client_id is None:
                self._start(client, message, fields)
            elif self._is_lost and message in order_requests.CHANGES:
                self._waiting.append((client, message, fields))
            elif self._is_lost and message in data_requests.LIVE_DATA:
                data_requests.refuse_disconnected(message, client, fields)
            else:
                self._dispatch(client, message, fields)

    def _start(self, client: Client, message: int, fields: Fields) -> None:
        if message != _START_API:
            raise BrokenFrame(f"expected startApi ({_START_API}) first, got message {message}")
        fields.skip()
        client_id = fields.integer()
        if client_id in self._clients or self.venue.switches.client_id_in_use:
            text = "Unable to connect as the client id is already in use. "
            client.error(-1, 326, f"{text}Retry with a unique client id.")
            client.finish()
            return
        client.client_id = client_id
        self._clients[client_id] = client
        self.on_clients_change(f"{client} is connected")
        client.send(15, 1, self.venue.account_id)
        client.send(9, 1, self.desk.next_id(client_id))
        notices = {2110: CONNECTIVITY[2110]} if self._is_lost else FARMS_OK
        for code, text in notices.items():
            client.error(-1, code, text)

    def _dispatch(self, client: Client, message: int, fields: Fields) -> None:
        if message == _CURRENT_TIME:
            client.send(49, 1, int(self.venue.market.now().timestamp()))
            client.pace.asked(asyncio.get_running_loop().time())
            self._progress.set()
        elif message in order_requests.HANDLERS:
            order_requests.HANDLERS[message](self.desk, client, fields)
        elif message in account.HANDLERS:
            account.HANDLERS[message](self.venue, client, fields)
        elif message in data_requests.HANDLERS:
            had_feeds = bool(client.feeds.by_id)
            data_requests.HANDLERS[message](self.venue, client, fields)
            if client.feeds.by_id and not had_feeds:
                client.pace.told_bar()  # More subscriptions follow: it says when it is ready.
                self.subscribed.set()
        else:
            answer_unserved(client, message, fields)

    # ── What the venue tells ────────────────────────────────────────────────────────────────────

    def _on_told(self, told: Told) -> None:
        match told:
            case TapeBar() | Quote() | Trade():
                if not self._is_lost:
                    for client in list(self._clients.values()):
                        data_requests.push(self.venue, client, told)
            case AccountTold():
                if not self._keep_untold(told):
                    for client in list(self._clients.values()):
                        account.tell_account(self.venue, client)
            case _:
                if not self._keep_untold(told):
                    self._tell_owner(told)

    def _keep_untold(self, told: OrderEventTold | WhatIfTold | AccountTold) -> bool:
        if self._is_lost and len(self._untold) < UNTOLD_MAX:
            self._untold.append(told)
        return self._is_lost

    def _tell_owner(self, told: OrderEventTold | WhatIfTold) -> None:
        client = self._clients.get(order_requests.owner_of(told))
        if client is None:
            return
        if isinstance(told, FillTold) and self.venue.switches.cuts_at_fill:
            self.venue.switches.cuts_at_fill = False
            client.close("a fault that is switched on: at its fill")
        else:
            order_requests.tell(client, told, self.venue.account_id)


async def _set_within(event: asyncio.Event, timeout_seconds: float) -> bool:
    """Whether an event is set in time.

    Not by `wait_for`: it can lose a cancellation that comes together with the event.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


@contextmanager
def _answering_unreadable(client: Client) -> Iterator[None]:
    """Answer what cannot be read in a request with 320; bytes that are no frame go on up."""
    try:
        yield
    except BrokenFrame:
        raise
    except InputRefused as error:
        client.error(-1, 320, f"Error reading request:Unable to parse data. {error}")
