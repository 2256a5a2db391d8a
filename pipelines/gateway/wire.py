"""The text protocol of the TWS socket: frames, fields and the hello, and nothing of what they mean.

Everything that comes in is bounded before it is believed; what breaks the framing raises
`BrokenFrame` and costs the client its connection, a field that is no number `UnreadableField`.
"""

import asyncio
import math
import re
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from engine.errors import InputRefused

FRAME_BYTES_MAX: Final = 64 * 1024
"""No request of a client is near this; a longer frame is a mistake or an attack."""

FIELDS_MAX: Final = 2_000
VERSION_MIN: Final = 100
VERSION_MAX: Final = 178
"""The last version before protobuf messages begin to matter; 178 keeps everything text."""

UNSET_NUMBER: Final = "1.7976931348623157E308"
"""How the protocol writes a number that is unknown where an empty field is not understood."""

_PREFIX: Final = struct.Struct(">I")
_HELLO: Final = re.compile(r"v(\d{1,4})(?:\.\.(\d{1,4}))?(?: .*)?", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,309}(\.\d{0,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_UNSET_INTEGERS: Final = {2**31 - 1, 2**63 - 1}


class BrokenFrame(InputRefused):
    """The bytes are no frame of the protocol; the connection cannot go on."""


class UnreadableField(InputRefused):
    """A field is missing or is not what its place calls for; the request is void."""


Field = str | int | float | Decimal | bool | None
"""What may be sent: null and an infinite or unknown number as an empty field."""


def framed(*fields: Field) -> bytes:
    """One message with its length in front; text beyond ASCII is escaped, a NUL becomes a space."""
    body = "".join(f"{_text(field)}\0" for field in fields).encode("ascii", "backslashreplace")
    return prefixed(body)


def prefixed(body: bytes) -> bytes:
    """Bytes with their length in front, as the hello and every message are sent."""
    return _PREFIX.pack(len(body)) + body


def _text(field: Field) -> str:
    if field is None:
        return ""
    if isinstance(field, bool):
        return "1" if field else "0"
    if isinstance(field, float):
        return repr(field) if math.isfinite(field) else ""
    if isinstance(field, Decimal):
        return format(field, "f")
    return field.replace("\0", " ") if isinstance(field, str) else str(field)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The body of the next frame; raises `BrokenFrame`, or `IncompleteReadError` at the end."""
    (length,) = _PREFIX.unpack(await reader.readexactly(_PREFIX.size))
    if not 0 < length <= FRAME_BYTES_MAX:
        raise BrokenFrame(f"expected a frame of 1 to {FRAME_BYTES_MAX} bytes, got {length}")
    return await reader.readexactly(length)


def fields_of(body: bytes) -> list[str]:
    """The NUL-terminated fields of a frame's body."""
    if body[-1:] != b"\0":
        raise BrokenFrame(f"expected a frame that ends with NUL, got {body[-8:]!r} at its end")
    if body.count(0) > FIELDS_MAX:
        raise BrokenFrame(f"expected at most {FIELDS_MAX} fields, got {body.count(0)}")
    return body[:-1].decode("utf-8", "backslashreplace").split("\0")


def agreed_version(hello: bytes) -> int:
    """The version to announce to a client that said `vMIN..MAX`, or `BrokenFrame`."""
    match = _HELLO.fullmatch(hello.decode("ascii", "replace"))
    if match is None:
        raise BrokenFrame(f"expected a hello like v100..178, got {hello[:40]!r}")
    low = int(match[1])
    high = int(match[2] or match[1])
    version = min(high, VERSION_MAX)
    if version < VERSION_MIN or low > version:
        raise BrokenFrame(
            f"expected a client of version {VERSION_MIN} to {VERSION_MAX}, got v{low}..{high}"
        )
    return version


class Fields:
    """Reads the fields of one message from left to right, each as what it should be."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._position = 0

    def text(self) -> str:
        if self._position >= len(self._fields):
            raise UnreadableField(f"the message ends after {len(self._fields)} fields")
        field = self._fields[self._position]
        self._position += 1
        return field

    def texts(self, count: int) -> list[str]:
        """The next fields as they are; a negative or huge count is unreadable."""
        if not 0 <= count <= len(self._fields) - self._position:
            raise UnreadableField(f"{count} more fields announced, fewer there")
        return [self.text() for _ in range(count)]

    def integer(self) -> int:
        """A whole number; an empty or unset field is 0."""
        text = self.text()
        if not text:
            return 0
        if _INTEGER.fullmatch(text) is None:
            raise UnreadableField(f"field {self._position}: expected an integer, got {text[:40]!r}")
        number = int(text)
        return 0 if number in _UNSET_INTEGERS else number

    def number(self) -> Decimal | None:
        """A decimal number; null for an empty, unset or infinite field."""
        text = self.text()
        if not text or text in {"Infinity", "Infinite", UNSET_NUMBER}:
            return None
        if _NUMBER.fullmatch(text) is None:
            raise UnreadableField(f"field {self._position}: expected a number, got {text[:40]!r}")
        number = Decimal(text)
        return None if abs(number) > Decimal("1e300") else number

    def count(self) -> int:
        """How many of something follow; never more than the message has fields."""
        number = self.integer()
        if not 0 <= number <= len(self._fields):
            raise UnreadableField(f"field {self._position}: {number} of something is no count")
        return number

    def flag(self) -> bool:
        """A truth value: 0, false and empty are no, any other integer and true are yes."""
        text = self.text()
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        self._position -= 1
        return self.integer() != 0

    def skip(self, count: int = 1) -> None:
        self.texts(count)
