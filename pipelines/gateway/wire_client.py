"""A client of the protocol reduced to its frames, for whoever tests a gateway from outside."""

import asyncio
from contextlib import suppress
from struct import Struct
from typing import Final

from pipelines.gateway.control import LOOPBACK
from pipelines.gateway.wire import framed, prefixed

_PREFIX: Final = Struct(">I")


class WireClient:
    """Sends and reads messages field by field; what they mean is left to the caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def greet(cls, port: int, versions: str) -> "WireClient":
        """Connect and say hello; the answer is the first frame."""
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        hello = f"v{versions}".encode()
        writer.write(b"API\0" + prefixed(hello))
        return cls(reader, writer)

    def send(self, *fields: str | int) -> None:
        self._writer.write(framed(*fields))

    async def frame(self) -> list[str]:
        """The next message; raises `IncompleteReadError` when the gateway closed."""
        (length,) = _PREFIX.unpack(await self._reader.readexactly(_PREFIX.size))
        body = await self._reader.readexactly(length)
        return body.decode("ascii").split("\0")[:-1]

    async def frame_of(self, number: str) -> list[str]:
        """The next message of a kind; the others are passed over."""
        while True:
            fields = await self.frame()
            if fields[0] == number:
                return fields

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
