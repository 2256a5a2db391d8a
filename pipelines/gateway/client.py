"""One connected client: what it is sent, what it follows, and whether it keeps up."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from pipelines.gateway.feeds import Feeds
from pipelines.gateway.wire import Field, framed

LOG: Final = logging.getLogger(__name__)
UNREAD_BYTES_MAX: Final = 8 * 1024 * 1024
"""A client with more than this unread is dropped; it would be told a market long gone."""

GRACE_SECONDS: Final = 0.02
"""After a report a client may answer twice: for what it sent itself, and for what it then read."""


class Pace:
    """Whether a client has reacted to what it was told, by the times it asks for the time.

    A client that never asked keeps no pace. A closed minute is answered by the next question. A
    report may cross with a question that was asked before it was read; so it is answered by the
    second one, or by the first when nothing more comes for `GRACE_SECONDS`.
    """

    def __init__(self) -> None:
        self._is_kept = False
        self._owes_bar = False
        self._owed_for_reports = 0
        self._asked_at = 0.0

    def told_bar(self) -> None:
        self._owes_bar = True

    def told_report(self) -> None:
        self._owed_for_reports = 2

    def asked(self, at: float) -> None:
        """Note a question for the time, at a reading of the event loop's clock."""
        self._is_kept, self._owes_bar = True, False
        self._owed_for_reports = max(0, self._owed_for_reports - 1)
        self._asked_at = at

    def wait_seconds(self, at: float) -> float | None:
        """How long to wait before it counts as caught up: 0 is now, null until it asks again."""
        if not self._is_kept or not (self._owes_bar or self._owed_for_reports):
            return 0.0
        if self._owes_bar or self._owed_for_reports > 1:
            return None
        return max(0.0, self._asked_at + GRACE_SECONDS - at)


@dataclass(slots=True, kw_only=True)
class AccountFollowed:
    """What of the account a client follows, and the values it was last told by each request."""

    positions: bool = False
    portfolio: bool = False
    summaries: dict[int, frozenset[str]] = field(default_factory=dict)
    multis: set[int] = field(default_factory=set)
    told: dict[tuple[int, str], str] = field(default_factory=dict)


class Client:
    """The server's end of one connection that said hello."""

    def __init__(
        self, writer: asyncio.StreamWriter, version: int, unread_bytes_max: int = UNREAD_BYTES_MAX
    ) -> None:
        self.version = version
        self.client_id: int | None = None
        self.pace = Pace()
        self.account = AccountFollowed()
        self.feeds = Feeds()
        self.is_closed = False
        self._writer = writer
        self._unread_bytes_max = unread_bytes_max
        self._held: list[bytes] | None = None
        self._held_bytes = 0

    def __str__(self) -> str:
        return f"client {self.client_id} (version {self.version})"

    def send(self, *fields: Field) -> None:
        """Send one message; nothing at all to a client that is closed or gone."""
        if self.is_closed or self._writer.is_closing():
            return
        message = framed(*fields)
        if self._held is None:
            self._writer.write(message)
            unread = self._writer.transport.get_write_buffer_size()
        else:
            self._held.append(message)
            self._held_bytes += len(message)
            unread = self._held_bytes
        if unread > self._unread_bytes_max:
            self.close(f"{unread} bytes are waiting to be read")

    def error(self, request_id: int, code: int, text: str) -> None:
        """Message 4; a request id of -1 is about no request."""
        self.send(4, 2, request_id, code, text, *([""] if self.version >= 166 else []))

    def hold(self) -> None:
        """Keep everything from the socket, as a server that hangs does, until `release`."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        held, self._held, self._held_bytes = self._held or [], None, 0
        if not self.is_closed:
            self._writer.write(b"".join(held))

    def close(self, reason: str) -> None:
        """Drop the connection, and all that was not sent yet, for a reason that is logged."""
        if not self.is_closed:
            self.is_closed = True
            LOG.warning("%s is dropped: %s", self, reason)
            self._writer.transport.abort()

    def finish(self) -> None:
        """Close once everything written has left."""
        self.is_closed = True
        self._writer.close()
