"""Each fault that is switched on, as an unmodified ib_insync suffers it."""

import pytest
from hand_fed import Desk, play, until
from ib_insync import MarketOrder


def test_a_rejected_order_is_told_with_201_and_is_over() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.rejects_orders = True
        trade = await desk.place("BUY", "MKT")

        assert desk.errors == [(trade.order.orderId, 201)]
        assert desk.gateway.venue.books.holding.quantity == 0
        desk.gateway.switches.rejects_orders = False
        assert (await desk.place("BUY", "MKT")).orderStatus.status == "Filled"

    play(scene)


def test_a_late_answer_comes_when_market_time_has_passed() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.late_ack_seconds = 12
        trade = await desk.place("BUY", "MKT")
        desk.gateway.bar(0, 0, 0, 0)
        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()
        assert (trade.orderStatus.status, trade.fills) == ("PendingSubmit", [])
        assert desk.gateway.venue.books.holding.quantity == 1

        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()

        states = [entry.status for entry in trade.log]
        assert states == ["PendingSubmit", "Submitted", "Submitted", "Filled"]
        assert trade.fills[0].commissionReport.commission == 0.62

    play(scene)


def test_every_status_comes_twice_and_every_execution_once() -> None:
    async def scene(desk: Desk) -> None:
        described: list[str] = []
        desk.ib.openOrderEvent += lambda trade: described.append(trade.orderStatus.status)
        desk.gateway.switches.duplicates_status = True
        trade = await desk.place("BUY", "MKT")

        assert described == ["PendingSubmit", "Submitted", "Submitted", "Filled"]
        assert (trade.orderStatus.status, len(trade.fills)) == ("Filled", 1)

    play(scene)


def test_a_lost_status_is_found_by_asking() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.loses_status = True
        resting = await desk.place("BUY", "LMT", 4990.0)
        filled = await desk.place("BUY", "MKT")
        assert resting.orderStatus.status == "PendingSubmit"
        assert (filled.orderStatus.status, len(filled.fills)) == ("PendingSubmit", 1)

        await desk.ib.reqOpenOrdersAsync()

        assert resting.orderStatus.status == "Submitted"

    play(scene)


def test_commissions_that_were_withheld_come_later() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.withholds_commission = True
        trade = await desk.place("BUY", "MKT")
        await desk.ib.reqExecutionsAsync()
        assert trade.fills[0].commissionReport.execId == ""

        desk.gateway.switches.withholds_commission = False
        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()

        assert trade.fills[0].commissionReport.commission == 0.62

    play(scene)


def test_a_late_commission_comes_that_much_market_time_behind() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.late_commission_seconds = 8
        trade = await desk.place("BUY", "MKT")
        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()
        assert trade.fills[0].commissionReport.execId == ""

        desk.gateway.bar(0, 0, 0, 0)
        await desk.settle()

        assert trade.fills[0].commissionReport.commission == 0.62

    play(scene)


def test_a_cancel_that_is_not_answered_was_not_carried_out() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.cancels_unanswered = True
        trade = await desk.place("BUY", "LMT", 4990.0)
        desk.ib.cancelOrder(trade.order)
        await desk.settle()

        assert trade.orderStatus.status == "PendingCancel"
        assert len(desk.gateway.venue.books.working) == 1

    play(scene)


@pytest.mark.parametrize("code", [399, 404, 10349])
def test_an_order_that_is_warned_of_is_live(code: int) -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.warns_with_code = code
        trade = await desk.place("BUY", "LMT", 4990.0)

        assert desk.errors == [(trade.order.orderId, code)]
        assert len(desk.gateway.venue.books.working) == 1

    play(scene)


def test_a_read_only_gateway_takes_no_order_and_no_cancel() -> None:
    async def scene(desk: Desk) -> None:
        live = await desk.place("BUY", "LMT", 4990.0)
        desk.gateway.switches.is_read_only = True
        refused = await desk.place("BUY", "MKT")
        desk.ib.cancelOrder(live.order)
        desk.ib.reqGlobalCancel()
        await desk.settle()

        ids = (refused.order.orderId, live.order.orderId, -1)
        assert desk.errors == [(each, 321) for each in ids]
        assert len(desk.gateway.venue.books.working) == 1

    play(scene)


def test_every_client_id_is_in_use() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.client_id_in_use = True

        with pytest.raises((TimeoutError, ConnectionError)):
            await desk.gateway.connect(8, timeout_seconds=0.2)

        assert desk.gateway.server.client_ids == [7]

    play(scene)


def test_a_competing_session_silences_the_data_and_says_so_once() -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        await desk.settle()
        desk.gateway.switches.competing_session = True
        for _ in range(2):
            desk.gateway.bar(0, 0, 0, 0)
        desk.ib.client.reqMktData(900, desk.contract, "", False, False, [])
        await desk.settle()
        assert desk.errors == [(bars.reqId, 10197), (900, 10197)]
        assert len(bars) == 0

        desk.gateway.switches.competing_session = False
        desk.gateway.bar(1, 1, 1, 1)
        await desk.settle()

        assert len(bars) == 1

    play(scene)


def test_delayed_quotes_say_that_they_are_and_bars_are_refused() -> None:
    async def scene(desk: Desk) -> None:
        live = desk.ib.reqMktData(desk.contract)
        await desk.settle()
        desk.gateway.switches.delays_data = True
        desk.gateway.quote(3, 4)
        desk.ib.client.reqRealTimeBars(900, desk.contract, 5, "TRADES", False, [])
        await desk.settle()

        assert sorted(code for _, code in desk.errors) == [420, 10167]
        assert live.marketDataType == 3
        assert (live.bid, live.ask) == (5000.75, 5001.0)

    play(scene)


def test_without_rights_there_is_no_data() -> None:
    async def scene(desk: Desk) -> None:
        desk.gateway.switches.has_no_data_rights = True
        client = desk.ib.client
        client.reqMktData(900, desk.contract, "", False, False, [])
        client.reqRealTimeBars(901, desk.contract, 5, "TRADES", False, [])
        client.reqTickByTickData(902, desk.contract, "Last", 0, False)
        client.reqHistoricalData(
            903, desk.contract, "", "1 D", "1 min", "TRADES", False, 1, False, []
        )
        await desk.settle()

        assert desk.errors == [(900, 354), (901, 420), (902, 10189), (903, 162)]

    play(scene)


def test_stalled_bars_stop_without_a_word_while_orders_trade() -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        trade = await desk.place("BUY", "LMT", 4999.0)
        desk.gateway.switches.stalls_bars = True
        desk.gateway.bar(0, 0, -9, -9)
        await desk.settle()

        assert (len(bars), desk.errors) == (0, [])
        assert trade.orderStatus.status == "Filled"

    play(scene)


@pytest.mark.parametrize(
    ("switch", "quantity"),
    [("cuts_before_order", 0), ("cuts_after_order", 1), ("cuts_at_fill", 1)],
)
def test_a_cut_strikes_once_and_what_happened_is_found_by_asking(
    switch: str, quantity: int
) -> None:
    async def scene(desk: Desk) -> None:
        setattr(desk.gateway.switches, switch, True)
        gone = desk.ib.disconnectedEvent
        trade = desk.ib.placeOrder(desk.contract, MarketOrder("BUY", 1, tif="GTC"))
        await until(lambda: not desk.ib.isConnected(), gone)

        again = await desk.gateway.connect()
        assert trade.fills == []
        assert sum(fill.execution.shares for fill in again.fills()) == quantity
        assert [position.position for position in again.positions()] == [1.0] * quantity
        assert getattr(desk.gateway.switches, switch) is False
        again.disconnect()

    play(scene)
