"""Instruments, history and market data as an unmodified ib_insync gets them."""

import asyncio
from datetime import timedelta

import pytest
from hand_fed import OPENS_AT, Desk, greeted, play, until
from ib_insync import ContFuture, Contract, Future
from ib_insync.wrapper import RequestError

MES_H4 = (600_202_403, "", "", "", "0.0", "", "", "", "", "", "", "")
"""The traded month as a client writes it (C12), by its conId alone."""


async def refused(request: object) -> int:
    """The code with which a request is refused."""
    with pytest.raises(RequestError) as caught:
        await request  # type: ignore[misc]  # ib_insync has no types.
    return int(caught.value.code)


def minute_of_bars(desk: Desk) -> None:
    """Let pass what is left of the first minute, and one 5-second bar of the second."""
    for step in range(11):
        desk.gateway.bar(step, step + 1, step - 2, step)
    desk.gateway.bar(20, 21, 19, 20)


def test_every_listed_quarter_is_described_and_the_nearest_comes_first() -> None:
    async def scene(desk: Desk) -> None:
        details = await desk.ib.reqContractDetailsAsync(Future("MES", exchange="CME"))

        names = [each.contract.localSymbol for each in details]
        assert names == ["MESH4", "MESM4", "MESU4", "MESZ4", "MESH5"]
        first = details[0]
        assert first.realExpirationDate == "20240315"
        assert (first.minTick, first.contract.multiplier, first.contractMonth) == (
            0.25,
            "5",
            "202403",
        )
        assert first.liquidHours.startswith("20240305:0830-20240305:1500;20240306:0830-")
        assert first.tradingHours.startswith("20240304:1700-20240305:1600;")
        assert "20240309:CLOSED" in first.tradingHours

    play(scene)


def test_a_con_id_alone_finds_its_month_and_a_continuous_future_the_traded_one() -> None:
    async def scene(desk: Desk) -> None:
        by_id = await desk.ib.reqContractDetailsAsync(Contract(conId=600_202_406))
        (continuous,) = await desk.ib.qualifyContractsAsync(ContFuture("MES", "CME"))

        assert [each.contract.localSymbol for each in by_id] == ["MESM4"]
        assert (continuous.secType, continuous.conId) == ("CONTFUT", 600_202_403)

    play(scene)


def test_the_next_quarter_is_traded_from_eight_days_before_the_expiry() -> None:
    async def scene(desk: Desk) -> None:
        june = Future("MES", "202406", "CME")
        ask = desk.ib.reqHistoricalDataAsync
        assert await refused(ask(june, "", "1 D", "5 secs", "TRADES", False)) == 354

        desk.gateway.market.at += timedelta(days=2)

        bars = await ask(june, "", "3 D", "5 secs", "TRADES", False)
        assert len(bars) == 1
        assert await refused(ask(desk.contract, "", "3 D", "5 secs", "TRADES", False)) == 354

    play(scene)


@pytest.mark.parametrize(
    "contract",
    [
        Future("ES", "202403", "CME"),
        Future("MES", "202402", "CME"),
        Future("MES", "202403", "CBOT"),
        Contract(secType="FUT", exchange="CME"),
        Contract(conId=1),
    ],
)
def test_what_is_not_listed_is_not_found(contract: Contract) -> None:
    async def scene(desk: Desk) -> None:
        assert await refused(desk.ib.reqContractDetailsAsync(contract)) == 200

    play(scene)


def test_minutes_are_made_of_the_five_second_bars_and_the_last_still_grows() -> None:
    async def scene(desk: Desk) -> None:
        minute_of_bars(desk)
        bars = await desk.ib.reqHistoricalDataAsync(
            desk.contract, "", "1 D", "1 min", "TRADES", False, formatDate=2
        )

        assert [(bar.date - OPENS_AT, bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
            (timedelta(0), 5000.0, 5002.75, 4999.5, 5002.5),
            (timedelta(minutes=1), 5005.0, 5005.25, 5004.75, 5005.0),
        ]
        assert [(bar.volume, bar.barCount) for bar in bars] == [(120, 60), (10, 5)]

    play(scene)


@pytest.mark.parametrize(
    ("size", "count"), [("5 secs", 13), ("10 secs", 7), ("30 secs", 3), ("5 mins", 1), ("1 day", 1)]
)
def test_bars_come_in_every_size(size: str, count: int) -> None:
    async def scene(desk: Desk) -> None:
        minute_of_bars(desk)
        bars = await desk.ib.reqHistoricalDataAsync(
            desk.contract, "", "1 D", size, "TRADES", False, formatDate=1
        )

        assert len(bars) == count
        assert bars[0].open == 5000.0

    play(scene)


@pytest.mark.parametrize("seconds", [15, 17, 19])
def test_history_ends_where_it_is_asked_to_and_begins_a_duration_before(seconds: int) -> None:
    async def scene(desk: Desk) -> None:
        minute_of_bars(desk)
        bars = await desk.ib.reqHistoricalDataAsync(
            desk.contract,
            OPENS_AT + timedelta(seconds=30),
            f"{seconds} S",
            "5 secs",
            "TRADES",
            useRTH=False,
        )

        opens = [bar.date - OPENS_AT for bar in bars]
        assert opens == [timedelta(seconds=seconds) for seconds in (15, 20, 25)]

    play(scene)


def test_quotes_are_as_far_from_the_trades_as_at_the_close() -> None:
    async def scene(desk: Desk) -> None:
        async def closes(what: str) -> list[float]:
            bars = await desk.ib.reqHistoricalDataAsync(
                desk.contract, "", "1 D", "5 secs", what, False
            )
            return [bars[-1].close, bars[-1].volume]

        assert await closes("BID") == [5000.0, -1]
        assert await closes("ASK") == [5000.25, -1]
        assert await closes("MIDPOINT") == [5000.125, -1]

    play(scene)


def test_history_kept_up_to_date_grows_its_last_bar_and_begins_the_next() -> None:
    async def scene(desk: Desk) -> None:
        bars = await desk.ib.reqHistoricalDataAsync(
            desk.contract, "", "1 D", "1 min", "TRADES", False, formatDate=2, keepUpToDate=True
        )
        assert [(bar.high, bar.volume) for bar in bars] == [(5000.25, 10)]

        minute_of_bars(desk)
        await until(lambda: len(bars) == 2, bars.updateEvent)
        await desk.settle()

        assert [(bar.open, bar.high, bar.close, bar.volume) for bar in bars] == [
            (5000.0, 5002.75, 5002.5, 120),
            (5005.0, 5005.25, 5005.0, 10),
        ]
        desk.ib.cancelHistoricalData(bars)
        desk.gateway.bar(30, 30, 30, 30)
        await desk.settle()
        assert bars[-1].close == 5005.0
        assert desk.errors == []

    play(scene)


@pytest.mark.parametrize(
    ("end", "duration", "size", "what", "code"),
    [
        ("", "1 D", "7 secs", "TRADES", 321),
        ("", "1 fortnight", "1 min", "TRADES", 321),
        ("", "0 D", "1 min", "TRADES", 321),
        ("", "9 Y", "1 day", "TRADES", 321),
        ("", "1 Y", "5 secs", "TRADES", 162),
        ("", "1 D", "1 min", "FEE_RATE", 162),
        ("20240304 12:00:00", "1 D", "1 min", "TRADES", 162),
        ("19990304 12:00:00", "1 D", "1 min", "TRADES", 162),
        ("yesterday", "1 D", "1 min", "TRADES", 10314),
    ],
)
def test_history_that_cannot_be_given_is_refused_with_the_code_of_ib(
    end: str, duration: str, size: str, what: str, code: int
) -> None:
    async def scene(desk: Desk) -> None:
        request = desk.ib.reqHistoricalDataAsync(desk.contract, end, duration, size, what, False)

        assert await refused(request) == code

    play(scene)


def test_history_is_paced_when_pacing_is_enforced() -> None:
    async def scene(desk: Desk) -> None:
        async def ask(seconds: int) -> int:
            bars = await desk.ib.reqHistoricalDataAsync(
                desk.contract, "", f"{seconds} S", "5 secs", "TRADES", False
            )
            return len(bars)

        desk.gateway.switches.enforces_pacing = True
        assert await ask(60) == 1
        assert await refused(ask(60)) == 162
        assert [await ask(seconds) for seconds in range(100, 158)] == [1] * 58
        assert await refused(ask(158)) == 162

    play(scene)


def test_five_second_bars_come_until_they_are_cancelled() -> None:
    async def scene(desk: Desk) -> None:
        bars = desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)
        await desk.settle()
        desk.gateway.bar(3, 6, 2, 4, volume=8)
        await desk.settle()

        (bar,) = bars
        assert bar.time == OPENS_AT + timedelta(seconds=5)
        assert (bar.open_, bar.high, bar.low, bar.close) == (5000.75, 5001.5, 5000.5, 5001.0)
        assert (bar.volume, bar.wap, bar.count) == (8, 5001.0, 4)
        desk.ib.cancelRealTimeBars(bars)
        await desk.settle()
        desk.gateway.bar(3, 6, 2, 4)
        await desk.settle()
        assert len(bars) == 1

    play(scene)


def test_market_data_tells_quotes_last_and_the_day_so_far() -> None:
    async def scene(desk: Desk) -> None:
        ticker = desk.ib.reqMktData(desk.contract)
        await desk.settle()
        assert (ticker.bid, ticker.ask, ticker.last) == (5000.0, 5000.25, 5000.0)
        assert (ticker.minTick, ticker.marketDataType) == (0.25, 1)

        desk.gateway.quote(3, 5, bid_size=7, ask_size=9)
        desk.gateway.trade(4, 6)
        desk.gateway.bar(4, 8, 1, 4, volume=30)
        await desk.settle()

        assert (ticker.bid, ticker.bidSize, ticker.ask, ticker.askSize) == (5000.75, 7, 5001.25, 9)
        assert (ticker.last, ticker.lastSize, ticker.volume) == (5001.0, 6, 30)
        assert (ticker.high, ticker.low) == (5002.0, 5000.25)

    play(scene)


def test_a_snapshot_is_told_once() -> None:
    async def scene(desk: Desk) -> None:
        (ticker,) = await desk.ib.reqTickersAsync(desk.contract)
        desk.gateway.quote(10, 11)
        await desk.settle()

        assert (ticker.bid, ticker.ask) == (5000.0, 5000.25)

    play(scene)


def test_ticks_come_one_by_one_each_in_the_shape_of_its_kind() -> None:
    async def scene(desk: Desk) -> None:
        wire = await greeted(desk.gateway.port, 176)
        for request_id, kind in enumerate(("Last", "AllLast", "BidAsk", "MidPoint"), start=1):
            wire.send(97, request_id, *MES_H4, kind, 0, 0)
        wire.send(49, 1)
        await wire.frame_of("49")

        desk.gateway.trade(3, 2)
        desk.gateway.quote(5, 7)

        at = str(int(OPENS_AT.timestamp()) + 5)
        assert [await wire.frame_of("99") for _ in range(4)] == [
            ["99", "1", "1", at, "5000.75", "2", "0", "CME", ""],
            ["99", "2", "2", at, "5000.75", "2", "0", "CME", ""],
            ["99", "3", "3", at, "5001.25", "5001.75", "3", "4", "0"],
            ["99", "4", "4", at, "5001.50"],
        ]
        await wire.close()

    play(scene)


def test_a_line_is_begun_once_and_ended_once() -> None:
    async def scene(desk: Desk) -> None:
        client = desk.ib.client
        for _ in range(2):
            client.reqRealTimeBars(900, desk.contract, 5, "TRADES", False, [])
        for _ in range(2):
            client.cancelRealTimeBars(900)
        client.cancelHistoricalData(901)
        client.reqRealTimeBars(902, desk.contract, 5, "FEE_RATE", False, [])
        client.reqTickByTickData(903, desk.contract, "Worst", 0, False)
        await desk.settle()

        assert desk.errors == [(900, 102), (900, 300), (901, 366), (902, 321), (903, 321)]

    play(scene)


def test_what_is_not_served_is_answered_and_the_connection_lives_on() -> None:
    async def scene(desk: Desk) -> None:
        client = desk.ib.client
        client.reqHeadTimeStamp(900, desk.contract, "TRADES", False, 1)
        client.reqScannerParameters()
        client.cancelMktDepth(901, False)
        client.send(4711, 1)
        client.send("nonsense")
        client.send(20, 902)
        await desk.settle()

        assert desk.errors == [(900, 321), (-1, 321), (-1, 505), (-1, 320), (-1, 320)]

    play(scene)


def test_bars_are_dated_in_the_zone_that_the_version_expects() -> None:
    async def scene(desk: Desk) -> None:
        dates = {}
        for version in (123, 157, 174):
            wire = await greeted(desk.gateway.port, version)
            tail = (0, "", "5 secs", "1 D", 1, "TRADES", 1)
            own = (6,) if version < 124 else ()
            alive = () if version < 124 else (0,)
            wire.send(20, *own, 1, *MES_H4, *tail, *alive, "")
            answer = await wire.frame_of("17")
            dates[version] = answer[6 if version < 124 else 5]
            await wire.close()

        assert dates == {
            123: "20240305  09:30:00",
            157: "20240305  09:30:00",
            174: "20240305 08:30:00 US/Central",
        }

    play(scene)


def test_the_first_line_is_noticed_by_whoever_waits_for_it() -> None:
    async def scene(desk: Desk) -> None:
        assert not desk.gateway.server.subscribed.is_set()

        desk.ib.reqRealTimeBars(desk.contract, 5, "TRADES", False)

        async with asyncio.timeout(5):
            await desk.gateway.server.subscribed.wait()

    play(scene)
