"""Frames and fields: what is written, what is read back, and what is refused."""

import asyncio
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gateway.wire import (
    FRAME_BYTES_MAX,
    UNSET_NUMBER,
    BrokenFrame,
    Fields,
    UnreadableField,
    agreed_version,
    fields_of,
    framed,
    read_frame,
)


def read(data: bytes) -> bytes:
    async def once() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(once())


def test_fields_are_written_as_the_protocol_wants_them() -> None:
    message = framed(5, "MES", 5000.25, Decimal("1E+3"), True, False, None, math.inf, math.nan)

    assert message == b"\x00\x00\x00\x1a" + b"5\0MES\0005000.25\x001000\x001\x000\0\0\0\0"


def test_text_beyond_ascii_is_escaped_and_a_nul_cannot_split_a_field() -> None:
    assert framed("é", "a\0b")[4:] == b"\\xe9\0a b\0"


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), min_size=1))
def test_what_was_framed_is_read_back(texts: list[str]) -> None:
    assert fields_of(read(framed(*texts))) == texts


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_a_frame_of_no_sensible_length_is_broken(length: int) -> None:
    with pytest.raises(BrokenFrame, match=f"got {length}"):
        read(length.to_bytes(4, "big") + b"x")


@pytest.mark.parametrize("body", [b"", b"71", b"7\0" * 2_001])
def test_a_body_that_is_no_fields_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenFrame):
        fields_of(body)


@pytest.mark.parametrize(
    ("hello", "version"),
    [
        (b"v100..157", 157),
        (b"v157..176", 176),
        (b"v157..178 +PACEAPI", 178),
        (b"v100..999", 178),
        (b"v100", 100),
    ],
)
def test_the_newest_version_that_both_know_is_agreed(hello: bytes, version: int) -> None:
    assert agreed_version(hello) == version


@pytest.mark.parametrize(
    "hello", [b"v1..99", b"v179..201", b"v178..100", b"", b"100..178", b"v\xd9\xa1..178", b"v1e2"]
)
def test_a_hello_without_a_common_version_is_broken(hello: bytes) -> None:
    with pytest.raises(BrokenFrame):
        agreed_version(hello)


@pytest.mark.parametrize("unset", ["", "2147483647", "9223372036854775807"])
def test_an_unset_integer_is_zero(unset: str) -> None:
    assert Fields([unset]).integer() == 0


@pytest.mark.parametrize("unset", ["", UNSET_NUMBER, "1.7976931348623157e+308", "Infinity"])
def test_an_unset_number_is_unknown(unset: str) -> None:
    assert Fields([unset]).number() is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-2.5", "-2.5"), ("1e-3", "0.001")])
def test_a_number_is_exact(text: str, number: str) -> None:
    assert Fields([text]).number() == Decimal(number)


@pytest.mark.parametrize(
    ("text", "is_so"), [("1", True), ("true", True), ("0", False), ("", False), ("False", False)]
)
def test_a_flag_is_read_in_every_way_it_is_written(text: str, is_so: bool) -> None:
    assert Fields([text]).flag() is is_so


@pytest.mark.parametrize("text", ["x", "1_0", "1.5", "٣", "1" * 20, " 1", "--1"])
def test_what_is_no_integer_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableField, match="expected an integer"):
        Fields([text]).integer()


@pytest.mark.parametrize("text", ["nan", "x", "1_0.0", "1" * 310, "0x1p3", "1e9999"])
def test_what_is_no_number_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableField, match="expected a number"):
        Fields([text]).number()


def test_a_message_that_ends_too_early_is_unreadable() -> None:
    fields = Fields(["1"])
    fields.skip()

    with pytest.raises(UnreadableField):
        fields.text()


@pytest.mark.parametrize("count", ["-1", "3", "999999999"])
def test_a_count_beyond_the_message_is_unreadable(count: str) -> None:
    with pytest.raises(UnreadableField):
        Fields([count, ""]).count()
    with pytest.raises(UnreadableField):
        Fields(["", ""]).skip(int(count))
