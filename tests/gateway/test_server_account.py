"""Position and money as clients follow them, against what the exchange says they are."""

from decimal import Decimal

from hand_fed import Desk, greeted, play


def values(desk: Desk) -> dict[str, str]:
    return {value.tag: value.value for value in desk.ib.accountValues() if value.currency == "USD"}


def test_a_flat_account_has_its_deposit_and_no_position() -> None:
    async def scene(desk: Desk) -> None:
        told = values(desk)

        assert (told["NetLiquidation"], told["AvailableFunds"]) == ("10000.00", "10000.00")
        assert (told["InitMarginReq"], told["UnrealizedPnL"]) == ("0.00", "0.00")
        assert desk.ib.positions() == []
        assert desk.ib.managedAccounts() == ["DU1234567"]

    play(scene)


def test_a_position_binds_margin_and_its_cost_has_multiplier_and_fee() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("SELL", "MKT", totalQuantity=2)

        (position,) = desk.ib.positions()
        assert (position.position, position.avgCost) == (-2.0, 24_999.38)
        told = values(desk)
        assert (told["InitMarginReq"], told["AvailableFunds"]) == ("4000.00", "5998.76")

    play(scene)


def test_the_portfolio_is_worth_what_the_last_price_makes_of_it() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "MKT")
        desk.gateway.pass_time(175)
        desk.gateway.bar(9, 9, 9, 9)
        await desk.settle()

        (item,) = desk.ib.portfolio()
        assert (item.marketPrice, item.marketValue) == (5002.25, 25_011.25)
        assert (item.unrealizedPNL, item.realizedPNL) == (9.38, 0.0)
        told = values(desk)
        assert (told["NetLiquidation"], told["UnrealizedPnL"]) == ("10009.38", "9.38")
        assert told["TotalCashValue"] == "10000.00"

    play(scene)


def test_what_was_closed_is_realized_and_gone_from_the_portfolio() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "MKT")
        desk.gateway.bar(9, 9, 9, 9)
        await desk.place("SELL", "MKT")

        assert (desk.ib.positions(), desk.ib.portfolio()) == ([], [])
        told = values(desk)
        assert (told["RealizedPnL"], told["NetLiquidation"]) == ("8.76", "10008.76")

    play(scene)


def test_a_summary_has_the_tags_asked_for_and_follows_them() -> None:
    async def scene(desk: Desk) -> None:
        wire = await greeted(desk.gateway.port, 157)
        wire.send(62, 1, 5, "All", "NetLiquidation,AvailableFunds,Nonsense")
        first = [await wire.frame_of("63") for _ in range(2)]
        assert await wire.frame_of("64") == ["64", "1", "5"]
        await desk.place("BUY", "MKT")

        assert first == [
            ["63", "1", "5", "DU1234567", "NetLiquidation", "10000.00", "USD"],
            ["63", "1", "5", "DU1234567", "AvailableFunds", "10000.00", "USD"],
        ]
        assert (await wire.frame_of("63"))[4:] == ["NetLiquidation", "9999.38", "USD"]
        await wire.close()

    play(scene)


def test_only_what_changed_is_told_again() -> None:
    async def scene(desk: Desk) -> None:
        wire = await greeted(desk.gateway.port, 157)
        wire.send(6, 2, 1, "DU1234567")
        await wire.frame_of("54")
        wire.send(61, 1)
        await wire.frame_of("62")
        desk.gateway.pass_time(200)
        desk.gateway.venue.set_margin(Decimal(3000))
        wire.send(49, 1)
        assert await wire.frame() == ["49", "1", str(int(desk.gateway.market.at.timestamp()))]

        await desk.place("BUY", "MKT")
        assert (await wire.frame_of("6"))[2] == "NetLiquidation"
        assert (await wire.frame_of("61"))[-2:] == ["1", "25001.87"]

        wire.send(64, 1)
        wire.send(6, 2, 0, "DU1234567")
        wire.send(49, 1)
        await wire.frame_of("49")
        await desk.place("SELL", "MKT")
        wire.send(49, 1)
        assert (await wire.frame())[0] == "49"
        await wire.close()

    play(scene)


def test_too_many_summaries_are_refused() -> None:
    async def scene(desk: Desk) -> None:
        wire = await greeted(desk.gateway.port, 157)
        for request_id in (1, 2, 3):
            wire.send(62, 1, request_id, "All", "NetLiquidation")
        told = [await wire.frame_of("4") for _ in range(4)][-1]
        assert told[2:4] == ["3", "322"]

        wire.send(63, 1, 1)
        wire.send(62, 1, 4, "All", "NetLiquidation")
        assert [(await wire.frame_of("64"))[2] for _ in range(1)] == ["4"]
        await wire.close()

    play(scene)


def test_a_raised_margin_leaves_less_than_nothing_available() -> None:
    async def scene(desk: Desk) -> None:
        await desk.place("BUY", "MKT")
        desk.gateway.venue.set_margin(Decimal(12_000))
        await desk.settle()

        assert values(desk)["ExcessLiquidity"] == "-2000.62"

    play(scene)
