"""Connections that come, hang, break, crowd in or say nonsense, and the clients beside them."""

import asyncio
import logging

import pytest
from hand_fed import BASE, Desk, greeted, play
from ib_insync import Order

from pipelines.gateway.client import GRACE_SECONDS, Pace
from pipelines.gateway.wire import framed
from pipelines.gateway.wire_client import WireClient


async def is_over(reader: asyncio.StreamReader) -> bool:
    """Whether the gateway closed the connection."""
    async with asyncio.timeout(5):
        try:
            while await reader.read(4096):
                pass
        except ConnectionError:
            return True
        return True


def test_a_greeting_is_answered_by_one_frame_and_then_the_gateway_waits() -> None:
    async def scene(desk: Desk) -> None:
        wire = await WireClient.greet(desk.gateway.port, "100..157")

        assert await wire.frame() == ["157", "20240305 09:30:05 US/Eastern"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.frame(), 0.05)

        wire.send(71, 2, 157, "")
        assert [await wire.frame() for _ in range(5)] == [
            ["15", "1", "DU1234567"],
            ["9", "1", "1"],
            ["4", "2", "-1", "2104", "Market data farm connection is OK:usfuture"],
            ["4", "2", "-1", "2106", "HMDS data farm connection is OK:ushmds"],
            ["4", "2", "-1", "2158", "Sec-def data farm connection is OK:secdefnj"],
        ]
        await wire.close()

    play(scene)


@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0\0\0\0\x09v179..201",
        b"API\0\0\0\0\x06v1..99",
        b"API\0\xff\xff\xff\xffv100",
        b"API\0\0\0\0\0",
    ],
)
def test_a_stranger_is_let_go(hello: bytes) -> None:
    async def scene(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.gateway.port)
        writer.write(hello)

        assert await is_over(reader)
        await desk.settle()
        writer.close()

    play(scene)


@pytest.mark.parametrize(
    "frame",
    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x04\x371\0x", framed(*["1"] * 3000)],
)
def test_a_broken_frame_costs_its_client_the_connection_and_no_other(
    frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.gateway.port)
        writer.write(b"API\0" + b"\0\0\0\x09v100..176" + framed(71, 2, 9, "") + frame)

        assert await is_over(reader)
        desk.gateway.bar(1, 1, 1, 1)
        await desk.settle()
        assert len(bars) == 1
        assert desk.gateway.server.client_ids == [7]
        writer.close()

    caplog.set_level(logging.WARNING, "pipelines.gateway.server")
    play(scene)

    assert "client 9 (version 176) is dropped: expected a" in caplog.text


def test_a_client_that_asks_before_it_started_is_let_go() -> None:
    async def scene(desk: Desk) -> None:
        wire = await WireClient.greet(desk.gateway.port, "100..176")
        await wire.frame()
        wire.send(49, 1)

        with pytest.raises(asyncio.IncompleteReadError):
            await wire.frame()
        await wire.close()

    play(scene)


def test_an_id_in_use_is_refused_with_326_and_the_first_client_stays() -> None:
    async def scene(desk: Desk) -> None:
        wire = await WireClient.greet(desk.gateway.port, "100..157")
        await wire.frame()
        wire.send(71, 2, 7, "")

        told = await wire.frame()
        assert told[:4] == ["4", "2", "-1", "326"]
        with pytest.raises(asyncio.IncompleteReadError):
            await wire.frame()
        await desk.settle()
        assert desk.gateway.server.client_ids == [7]
        await wire.close()

    play(scene)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.gateway.port, limit=1024)
        writer.write(b"API\0" + b"\0\0\0\x09v100..176" + framed(71, 2, 9, ""))
        writer.transport.pause_reading()
        ask = framed(9, 8, 1, 0, "MES", *[""] * 9, "", 0, "", "")
        while not writer.transport.is_closing():
            writer.write(ask * 100)
            await asyncio.sleep(0)

        await desk.settle()
        assert desk.gateway.server.client_ids == [7]
        writer.transport.abort()
        del reader

    play(scene, unread_bytes_max=100_000)

    assert "client 9 (version 176) is dropped: 1" in caplog.text
    assert "bytes are waiting to be read" in caplog.text


def test_a_frozen_gateway_answers_nothing_and_then_everything() -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        await desk.settle()
        desk.gateway.server.freeze()
        desk.gateway.bar(1, 1, 1, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(desk.ib.reqCurrentTimeAsync(), 0.05)
        assert (len(bars), desk.ib.isConnected()) == (0, True)

        desk.gateway.server.thaw()
        await desk.settle()

        assert len(bars) == 1

    play(scene)


@pytest.mark.parametrize(("is_data_lost", "code", "count"), [(True, 1101, 0), (False, 1102, 1)])
def test_while_ib_is_not_reached_nothing_comes_and_orders_wait(
    is_data_lost: bool, code: int, count: int
) -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        resting = await desk.place("BUY", "LMT", 4999.0, orderRef="resting")
        desk.gateway.server.lose_connectivity()
        waiting = await desk.place("BUY", "LMT", 4998.75, orderRef="waiting")
        desk.gateway.bar(0, 0, -6, -6)
        desk.ib.client.reqRealTimeBars(900, desk.contract, 5, "TRADES", False, [])
        await desk.settle()

        assert [code for _, code in desk.errors] == [1100, 10182]
        assert (resting.orderStatus.status, len(bars)) == ("Submitted", 0)
        assert waiting.orderStatus.status == "PendingSubmit"
        assert len(desk.gateway.venue.books.orders) == 1

        desk.gateway.server.restore_connectivity(data_lost=is_data_lost)
        desk.gateway.bar(-6, -6, -6, -6)
        await desk.settle()

        assert [code for _, code in desk.errors][2:] == [code]
        assert (resting.orderStatus.status, waiting.orderStatus.status) == ("Filled", "Filled")
        assert len(bars) == count

    play(scene)


def test_an_unreadable_order_that_waited_costs_an_error_and_not_the_restoration() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.server.lose_connectivity()
        desk.ib.client.send(3, "x")
        await desk.place("BUY", "LMT", 4990.0)

        desk.gateway.server.restore_connectivity(data_lost=False)
        await desk.settle()

        assert [code for _, code in desk.errors] == [1100, 1102, 320]
        assert len(desk.gateway.venue.books.working) == 1

    play(scene)


def test_who_connects_while_ib_is_not_reached_is_told_so() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.server.lose_connectivity()
        wire = await greeted(desk.gateway.port, 176)

        assert (await wire.frame_of("4"))[3] == "2110"
        await wire.close()

    play(scene)


def test_a_disconnect_ends_every_connection_and_no_order() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990.0, orderRef="a")
        desk.gateway.server.disconnect()
        await desk.ib.disconnectedEvent

        again = await desk.gateway.connect()
        assert [trade.order.orderRef for trade in again.openTrades()] == ["a"]
        again.disconnect()

    play(scene)


def test_the_player_waits_for_a_client_that_keeps_pace_and_for_no_other() -> None:
    async def scene(desk: Desk) -> None:
        server = desk.gateway.server
        other = await desk.gateway.connect(8)
        for ib in (desk.ib, other):
            ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        await desk.settle()
        while len(server.client_ids) < 2 or not await server.caught_up(1):
            await desk.settle()
        for _ in range(11):
            desk.gateway.bar(0, 0, 0, 0)

        assert await server.caught_up(0.01) is False

        waits = asyncio.create_task(server.caught_up(5))
        await desk.settle()
        assert await waits is True
        other.disconnect()

    play(scene)


def test_a_player_that_is_stopped_as_the_market_is_followed_again_stops() -> None:
    async def scene(desk: Desk) -> None:
        server = desk.gateway.server
        server.subscribed.set()
        waits = asyncio.create_task(server.caught_up(5))
        await asyncio.sleep(0)
        assert not server.subscribed.is_set()

        server.subscribed.set()
        waits.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waits

    play(scene)


def test_a_report_may_cross_with_a_question_so_two_or_a_pause_are_waited_for() -> None:
    pace = Pace()
    pace.told_report()
    assert pace.wait_seconds(1.0) == 0.0

    pace.asked(1.0)
    pace.told_report()
    assert pace.wait_seconds(1.0) is None
    pace.asked(2.0)
    assert pace.wait_seconds(2.0) == pytest.approx(GRACE_SECONDS)
    assert pace.wait_seconds(2.0 + GRACE_SECONDS) == 0.0

    pace.told_report()
    pace.asked(3.0)
    pace.asked(3.0)
    assert pace.wait_seconds(3.0) == 0.0


def test_a_hostile_neighbour_reaches_nobody() -> None:
    async def scene(desk: Desk) -> None:
        wire = await greeted(desk.gateway.port, 176)
        for body in (
            (3, "x"), (3, 1), (4, 1, ""), (1, 11, 5), (20, 1, *[""] * 30), (9, 8, "1e9"),
            (7, 3, 1, "a"), (97, 1), (50, 3, 1, *["\\"] * 20), (62, 1, 1), ("-5",), ("",),
            (3, 1, *["9" * 400] * 100), (3, 1, *["-1"] * 100), (58, 1), (6, 2, 1, "x" * 9000),
        ):  # fmt: skip
            wire.send(*body)
        wire.send(49, 1)
        await wire.frame_of("49")

        desk.ib.client.placeOrder(
            50,
            desk.contract,
            Order(action="BUY", orderType="LMT", totalQuantity=1, lmtPrice=BASE / 4, tif="GTC"),
        )
        await desk.settle()
        assert desk.errors == []
        assert desk.gateway.server.client_ids == [7, 176]
        await wire.close()

    play(scene)
