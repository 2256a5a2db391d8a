"""Seeded bytes that no honest client sends: broken fields, broken frames, noise."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import Random
from struct import pack
from typing import Final, NamedTuple

from pipelines.gateway.wire import FRAME_BYTES_MAX, framed, prefixed

CONTRACT: Final = ("0", "MES", "FUT", "20250321", "", "", "", "CME", "", "USD", "", "")
"""A month that is listed, and traded on `FUZZED_ON`."""

FUZZED_ON: Final = date(2025, 1, 2)

JUNK: Final = (
    "", "0", "-1", "1", "7", "abc", "NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e-400",
    "99999999999999999999", "2147483647", "9223372036854775807", "1.7976931348623157E308", "0x10",
    "1_000", "٣", "²", "true", "1,5", " 1", "+1", "🜚", "\x7f\x1b[2J", "%s%n", "' OR 1=1",
    "MES" * 999, "20259999-99:99:99", "20250102 09:30:00 ../../etc", "1 D", "999999999 Y",
    "-5 S", "1 min", "5 parsecs", "TRADES", "LMT", "STP", "MKT", "BUY", "SELL", "GTD", "DU0000000",
)  # fmt: skip
"""What is put in the place of a field."""

_ORDER: Final = (
    *("3", "1", *CONTRACT, "", "", "BUY", "1", "LMT", "5000.0", "", "DAY", "", "", "", "0", "x/y"),
    *("1", "0", "0", "0", "0", "0", "0", "0", "", "0", "", "", "", "", "", "", "", "0", "", "-1"),
    *("0", "", "", "0", "", "", "0", "0", "", "0", "", "", "", "", "", "0", "", "", "", "", "0"),
    *("", "", "", "", "", "", "", "", "", "", "0", "", "", "0", "0", "", "", "0", "", "0", "0"),
    "0",
    *("0", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "0", "0", "", "0", "", "0"),
    *("", "", ""),
)

REQUESTS: Final[Sequence[Sequence[str]]] = (
    ("1", "11", "5", *CONTRACT, "0", "", "0", "0", ""),
    ("2", "2", "5"),
    _ORDER,
    ("4", "1", "1", ""),
    ("5", "1"),
    ("6", "2", "1", ""),
    ("7", "3", "9", "0", "", "", "", "", "", ""),
    ("8", "1", "1"),
    ("9", "8", "9", *CONTRACT, "0", "", "", ""),
    ("15", "1", "1"),
    ("16", "1"),
    ("20", "9", *CONTRACT, "0", "", "1 min", "600 S", "1", "TRADES", "1", "0", ""),
    ("25", "1", "9"),
    ("49", "1"),
    ("50", "3", "6", *CONTRACT, "5", "TRADES", "0", ""),
    ("51", "1", "6"),
    ("58", "1"),
    ("59", "1", "3"),
    ("61", "1"),
    ("62", "1", "9", "All", "NetLiquidation,BuyingPower"),
    ("63", "1", "9"),
    ("64", "1"),
    ("71", "2", "99", ""),
    ("76", "1", "9", "", "", "0"),
    ("87", "9", *CONTRACT, "0", "1", "TRADES", "1"),
    ("96", "9", *CONTRACT, "0", "", "20250102 09:40:00", "10", "TRADES", "1", "0", ""),
    ("97", "8", *CONTRACT, "AllLast", "0", "0"),
    ("98", "8"),
    ("99", "0"),
)
"""One honest message of each kind, as a client of version 176 sends it."""


class Hostile(NamedTuple):
    """Bytes, and whether the framing of what would follow is lost with them."""

    bytes: bytes
    ends_framing: bool


Mutation = Callable[[Random, list[str]], bytes]


def hostile_frames(random: Random) -> Iterator[Hostile]:
    """Frames without end; about one in 250 breaks the framing."""
    while True:
        fields = list(random.choice(REQUESTS))
        if random.random() < 0.004:
            yield Hostile(random.choice(_BREAKS)(random, fields), ends_framing=True)
        else:
            yield Hostile(random.choice(_MUTATIONS)(random, fields), ends_framing=False)


def hostile_hello(random: Random) -> bytes:
    """A greeting: an honest one nearly always, else one of those that must be turned away."""
    if random.random() < 0.9:
        return b"API\0" + prefixed(b"v157..176")
    words = random.choice(
        (b"v1..9", b"v999..9999", b"v176..157", b"hello", b"", b"v100..178 \xff\xfe", b"v" * 300)
    )
    greeting = random.choice((b"API\0", b"GET / HTTP/1.1\r\n", b"API", b"\0\0\0\0", b""))
    return greeting + random.choice((prefixed(words), words, random.randbytes(40)))


def _one_field(random: Random, fields: list[str]) -> bytes:
    fields[random.randrange(len(fields))] = random.choice(JUNK)
    return framed(*fields)


def _many_fields(random: Random, fields: list[str]) -> bytes:
    return framed(fields[0], *(random.choice((field, random.choice(JUNK))) for field in fields[1:]))


def _too_few(random: Random, fields: list[str]) -> bytes:
    return framed(*fields[: random.randrange(1, len(fields) + 1)])


def _too_many(random: Random, fields: list[str]) -> bytes:
    return framed(*fields, *(random.choice(JUNK) for _ in range(random.randrange(1, 60))))


def _shuffled(random: Random, fields: list[str]) -> bytes:
    rest = fields[1:]
    random.shuffle(rest)
    return framed(fields[0], *rest)


def _unknown_message(random: Random, fields: list[str]) -> bytes:
    return framed(random.randrange(-5, 300), *fields[1:])


def _noise_in_a_frame(random: Random, fields: list[str]) -> bytes:
    head = f"{fields[0]}\0".encode() if random.random() < 0.5 else b""
    return prefixed(head + random.randbytes(random.randrange(1, 200)) + b"\0")


def _flipped_byte(random: Random, fields: list[str]) -> bytes:
    body = bytearray(framed(*fields)[4:-1])
    body[random.randrange(len(body))] = random.randrange(256)
    return prefixed(bytes(body) + b"\0")


def _honest(_random: Random, fields: list[str]) -> bytes:
    return framed(*fields)


def _without_end(_random: Random, fields: list[str]) -> bytes:
    return prefixed(framed(*fields)[4:-1])


def _cut_short(random: Random, fields: list[str]) -> bytes:
    whole = framed(*fields)
    return whole[: random.randrange(1, len(whole))]


def _oversize(random: Random, fields: list[str]) -> bytes:
    length = random.choice((FRAME_BYTES_MAX + 1, 2**31 - 1, 2**31, 2**32 - 1))
    return pack(">I", length) + framed(*fields)[4:]


def _empty_frame(_random: Random, _fields: list[str]) -> bytes:
    return prefixed(b"")


def _too_many_by_far(random: Random, fields: list[str]) -> bytes:
    return prefixed(f"{fields[0]}\0".encode() + b"\0" * random.randrange(2_000, 20_000))


def _noise(random: Random, _fields: list[str]) -> bytes:
    return random.randbytes(random.randrange(1, 400))


_MUTATIONS: Final[Sequence[Mutation]] = (
    _one_field, _one_field, _one_field, _many_fields, _too_few, _too_many, _shuffled,
    _unknown_message, _noise_in_a_frame, _flipped_byte, _honest,
)  # fmt: skip
_BREAKS: Final[Sequence[Mutation]] = (
    _without_end, _cut_short, _oversize, _empty_frame, _too_many_by_far, _noise,
)  # fmt: skip
