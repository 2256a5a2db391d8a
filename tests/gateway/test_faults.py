"""Each fault by its name, from the words of a person or a plan to what a client is told."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hand_fed import Desk, play
from ib_insync import IB, Future, MarketOrder
from planned_market import OPENS_AT, PLAYED, planned_bars

from contracts import load_rules
from engine.errors import InputRefused
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.faults import FAULTS, Fault, read_change, read_plan
from pipelines.gateway.hostile import CONTRACT
from pipelines.gateway.market import Switches
from pipelines.gateway.misfortune import Misfortune
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.gateway.wire_client import WireClient

RULES = load_rules("MES")


class Fate:
    """Faults by name on the gateway of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.misfortune = Misfortune(desk.gateway.venue, desk.gateway.server)

    def turn(self, name: str, turn: str = "on", **numbers: float) -> None:
        self.misfortune.change(read_change({"fault": name, "turn": turn, **numbers}, "test"))

    @property
    def on(self) -> list[str]:
        return [fault.value for fault in self.misfortune.on]


@pytest.mark.parametrize("fault", [fault for fault in Fault if not FAULTS[fault].is_once])
def test_every_switch_can_be_turned_on_and_leaves_nothing_behind_when_it_is_off(
    fault: Fault,
) -> None:
    async def scene(desk: Desk) -> None:
        fate = Fate(desk)
        before = desk.gateway.venue.exchange.state()["rates"]

        fate.turn(fault.value)
        on = fate.on
        fate.turn(fault.value, "off")

        assert on == [fault.value]
        assert fate.on == []
        assert desk.gateway.switches == Switches()
        assert desk.gateway.venue.exchange.state()["rates"] == before

    play(scene)


def test_a_disconnect_ends_every_connection_and_the_orders_live_on() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "LMT", 4990, orderRef="far")
        gone = asyncio.Event()
        desk.ib.disconnectedEvent += gone.set

        Fate(desk).turn("disconnect")
        async with asyncio.timeout(5):
            await gone.wait()

        again = await desk.gateway.connect()
        assert [trade.order.orderRef for trade in again.openTrades()] == ["far"]
        again.disconnect()

    play(scene)


def test_connectivity_is_lost_and_comes_back_with_or_without_its_data() -> None:
    async def bars_after(restored_by: tuple[str, str]) -> tuple[list[int], int]:
        told: list[int] = []
        heard = 0

        async def scene(desk: Desk) -> None:
            nonlocal heard
            fate = Fate(desk)
            bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", useRTH=False)
            await desk.settle()
            fate.turn("1100")
            desk.gateway.bar(0, 1, 0, 1)
            await desk.settle()
            assert (len(bars), fate.on) == (0, ["1100"])
            fate.turn(*restored_by)
            desk.gateway.bar(1, 2, 1, 2)
            await desk.settle()
            heard = len(bars)
            told.extend(code for _, code in desk.errors)
            assert fate.on == []

        await asyncio.to_thread(play, scene)
        return told, heard

    async def all_three() -> list[tuple[list[int], int]]:
        ways = (("1100", "off"), ("1102", "on"), ("1101", "on"))
        return [await bars_after(way) for way in ways]

    assert asyncio.run(all_three()) == [([1100, 1102], 1), ([1100, 1102], 1), ([1100, 1101], 0)]


def test_a_frozen_gateway_answers_nothing_and_then_everything() -> None:
    async def scene(desk: Desk) -> None:
        fate = Fate(desk)
        fate.turn("freeze")
        asked = asyncio.ensure_future(desk.ib.reqCurrentTimeAsync())
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert not done
        assert desk.ib.isConnected()

        fate.turn("freeze", "off")

        assert await asyncio.wait_for(asked, 5) == desk.gateway.market.now()

    play(scene)


def test_an_order_fills_in_parts_and_all_of_it_in_the_end() -> None:
    async def scene(desk: Desk) -> None:
        Fate(desk).turn("partial")

        trade = await desk.place("BUY", "MKT", totalQuantity=5)
        after_one = trade.orderStatus.filled
        for _ in range(8):
            desk.gateway.bar(0, 1, -1, 0)
        await desk.settle()

        assert 0 < after_one < 5
        assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Filled", 5)
        assert sum(fill.execution.shares for fill in trade.fills) == 5
        assert len(trade.fills) > 1

    play(scene)


def test_an_order_that_was_cancelled_can_still_fill() -> None:
    async def scene(desk: Desk) -> None:
        Fate(desk).turn("fill-after-cancel")
        trade = await desk.place("BUY", "LMT", 4998, orderRef="late")

        desk.ib.cancelOrder(trade.order)
        await desk.settle()
        told = trade.orderStatus.status
        desk.gateway.bar(0, 0, -20, -20)
        await desk.settle()

        assert told == "Cancelled"
        assert [fill.execution.price for fill in desk.ib.fills()] == [4998.0]

    play(scene)


def test_a_margin_call_takes_the_funds_and_gives_them_back() -> None:
    async def scene(desk: Desk) -> None:
        fate = Fate(desk)
        await desk.place("BUY", "MKT")

        async def excess() -> float:
            await desk.settle()
            values = await desk.ib.accountSummaryAsync()
            return next(float(v.value) for v in values if v.tag == "ExcessLiquidity")

        desk.gateway.bar(0, 0, 0, 0)
        before = await excess()
        fate.turn("margin-call")
        called = await excess()
        fate.turn("margin-call", "off")

        assert called < 0 < before
        assert await excess() == before

    play(scene)


@pytest.mark.parametrize(("broken", "restored"), [("2103", 2104), ("2105", 2106), ("2157", 2158)])
def test_a_farm_breaks_and_is_ok_again(broken: str, restored: int) -> None:
    async def scene(desk: Desk) -> None:
        fate = Fate(desk)
        fate.turn(broken)
        fate.turn(broken, "off")
        await desk.settle()

        assert desk.errors == [(-1, int(broken)), (-1, restored)]

    play(scene)


@pytest.mark.parametrize("quantity", [2, -3])
def test_a_foreign_trade_changes_the_position_without_an_order_of_ours(quantity: int) -> None:
    async def scene(desk: Desk) -> None:
        Fate(desk).turn("foreign-position", quantity=quantity)
        await desk.settle()

        assert [position.position for position in desk.ib.positions()] == [quantity]
        assert desk.ib.trades() == []

    play(scene)


def test_an_unknown_order_is_seen_by_whoever_asks_for_all() -> None:
    async def scene(desk: Desk) -> None:
        Fate(desk).turn("unknown-order")

        found = await desk.ib.reqAllOpenOrdersAsync()

        (order,) = [trade.order for trade in found]
        assert (order.clientId, order.orderRef, order.action) == (0, "", "BUY")
        assert order.orderId < 0

    play(scene)


def test_what_needs_a_price_is_refused_before_there_is_one() -> None:
    with running_gateway(
        planned_bars(), RULES, GatewaySettings(session_dates=(PLAYED,))
    ) as gateway:
        with pytest.raises(InputRefused, match="expected a price to trade at"):
            gateway.fault("foreign-position")
        assert gateway.status()["position"] == 0


async def codes_by_minute(port: int, minutes: int) -> list[tuple[int, int]]:
    """Codes told to a client that follows the market, with the minute last closed before them."""
    client = await WireClient.greet(port, "157..176")
    await client.frame()
    client.send(71, 2, 1, "")
    client.send(49, 1)
    await client.frame_of("49")
    client.send(50, 3, 1, *CONTRACT, 5, "TRADES", 0, "")
    client.send(49, 1)
    closed, told = -1, []
    while closed < minutes - 1:
        fields = await client.frame()
        if fields[0] == "4":
            told.append((closed, int(fields[3])))
        elif fields[0] == "50" and int(fields[3]) % 60 == 55:
            closed += 1
            client.send(49, 1)
    await client.close()
    return told


def plan(**words: Any) -> GatewaySettings:
    return GatewaySettings(session_dates=(PLAYED,), plan=read_plan(words, "plan"))


def test_a_plan_is_carried_out_at_its_instants() -> None:
    settings = plan(
        faults=[
            {"minute": 2, "fault": "2103"},
            {"minute": 3, "second": 30, "fault": "2103", "turn": "off"},
            {"minute": 4, "fault": "10197", "session": date(2025, 1, 2)},
            {"minute": 5, "fault": "2105"},
        ]
    )
    with running_gateway(planned_bars(), RULES, settings) as gateway:
        told = asyncio.run(codes_by_minute(gateway.address.port, 7))

    assert told == [(1, 2103), (2, 2104), (4, 2105)]


def executions_of(settings: GatewaySettings) -> list[Any]:
    """What trades when a market order of five meets the same seeded dice."""

    def outcome(gateway: RunningGateway) -> list[Any]:
        return gateway.call(
            lambda g: [(f.at, f.quantity, f.price) for f in g.venue.books.fills.values()]
        )

    with running_gateway(planned_bars(), RULES, settings) as gateway:

        async def trade() -> None:
            ib = IB()
            await ib.connectAsync("127.0.0.1", gateway.address.port, clientId=1)
            await ib.reqCurrentTimeAsync()
            contract = Future("MES", "20250321", "CME", currency="USD")
            bars = ib.reqRealTimeBars(contract, 5, "TRADES", useRTH=False)
            closed = asyncio.Event()
            bars.updateEvent += lambda told, _: told[-1].time.second == 55 and closed.set()
            for event in (ib.orderStatusEvent, ib.execDetailsEvent):
                event.connect(lambda *_: ib.client.reqCurrentTime())
            for minute in range(4):
                if minute == 1:
                    ib.placeOrder(contract, MarketOrder("BUY", 9))
                closed.clear()
                await ib.reqCurrentTimeAsync()
                async with asyncio.timeout(20):
                    await closed.wait()
            ib.disconnect()

        asyncio.run(trade())
        return outcome(gateway)


def test_the_same_seed_gives_the_same_session_and_another_one_another() -> None:
    partial = [{"minute": 0, "fault": "partial"}]

    first, again, other = (executions_of(plan(seed=seed, faults=partial)) for seed in (3, 3, 4))

    assert sum(quantity for _, quantity, _ in first) == 9
    assert first == again
    assert first != other
    assert all(at >= OPENS_AT + timedelta(minutes=1) for at, _, _ in first)
    assert isinstance(first[0][0], datetime)
