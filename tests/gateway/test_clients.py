"""Three independent clients, unmodified, live through the same short day and are told the same."""

from pathlib import Path
from typing import Any

import pytest
from client_days import RULES, async_day, ibapi_day, insync_day
from planned_market import BASE, OPENS_AT, planned_bars

from pipelines.gateway.recording import recorded_sessions
from pipelines.gateway.tape import five_second_bars

FEE_USD = float(RULES.instrument.fees.per_side_usd)
POINT_USD = 5.0
NOTICES = {2104, 2106, 2158}
CANCELLED = 202


@pytest.fixture(params=["ib_insync", "ib_async", "ibapi"])
def day(request: pytest.FixtureRequest, client_cache: Path) -> dict[str, Any]:
    return newest_day(request.param, client_cache)


def newest_day(client: str, client_cache: Path) -> dict[str, Any]:
    match client:
        case "ib_insync":
            return insync_day()
        case "ib_async":
            return async_day(client_cache)
        case _:
            return ibapi_day(client_cache)


def told_bars() -> list[list[float]]:
    """The played session as its 5-second bars, in points."""
    played = recorded_sessions(planned_bars(), RULES)[-1]
    return [
        [
            part.opens_at.timestamp(),
            *(ticks / 4 for ticks in (part.open_ticks, part.high_ticks, part.low_ticks)),
            part.close_ticks / 4,
            part.volume,
            part.trades,
        ]
        for minute in played.minutes
        for part in five_second_bars(minute)
    ]


@pytest.mark.parametrize(
    ("client", "version"), [("ib_insync", 176), ("ib_async", 178), ("ibapi", 157)]
)
def test_a_client_is_spoken_to_in_the_newest_version_it_knows(
    client: str, version: int, client_cache: Path
) -> None:
    day = newest_day(client, client_cache)

    assert day["connected_first"] == {"server_version": version, "accounts": ["DU1234567"]}
    assert day["connected_again"] == day["connected_first"]


def test_contract_details_describe_a_dated_future(day: dict[str, Any]) -> None:
    assert day["contract"] == {
        "symbol": "MES",
        "multiplier": "5",
        "exchange": "CME",
        "expiry": "20250321",
        "min_tick": 0.25,
        "expiries": 5,
    }


def test_history_is_the_session_before_and_is_kept_up_to_date(day: dict[str, Any]) -> None:
    assert day["history_bars"] == 390
    assert day["history_closes"] == [BASE / 4, BASE / 4]
    assert day["history_updated"] == [
        [int(OPENS_AT.timestamp()) + 60 * minute, [(BASE + close) / 4, 600 + minute]]
        for minute, close in enumerate((0, 0, 0, -8, 8))
    ]


def test_five_second_bars_are_exactly_the_tape(day: dict[str, Any]) -> None:
    expected = told_bars()[: len(day["bars"])]

    assert len(expected) >= 12 * 9
    assert day["bars"] == expected


def test_quotes_are_the_best_bid_and_ask(day: dict[str, Any]) -> None:
    assert day["quote"] == [(BASE - 1) / 4, BASE / 4]


def test_a_bracket_fills_and_its_target_cancels_its_stop(day: dict[str, Any]) -> None:
    legs = day["bracket"]

    assert {ref: (leg["status"], leg["filled"]) for ref, leg in legs.items()} == {
        "one/entry": ("Filled", 2.0),
        "one/target": ("Filled", 2.0),
        "one/stop": ("Cancelled", 0.0),
    }
    assert (legs["one/entry"]["average"], legs["one/target"]["average"]) == (5999.0, 6001.0)
    assert legs["one/entry"]["fills"] == [["BOT", 2.0, 5999.0]]
    assert legs["one/target"]["fills"] == [["SLD", 2.0, 6001.0]]
    assert legs["one/stop"]["fills"] == []


def test_commissions_and_what_a_trade_brought_come_with_its_fills(day: dict[str, Any]) -> None:
    legs = day["bracket"]

    assert legs["one/entry"]["commission"] == pytest.approx(2 * FEE_USD)
    assert legs["one/target"]["commission"] == pytest.approx(2 * FEE_USD)
    assert legs["one/target"]["realized"] == pytest.approx(2 * 2 * POINT_USD - 4 * FEE_USD)


def test_cancelling_an_entry_takes_its_children_along(day: dict[str, Any]) -> None:
    assert day["cancelled"] == ["Cancelled", "Cancelled", "Cancelled"]


def test_positions_carry_the_multiplier_in_their_cost(day: dict[str, Any]) -> None:
    price = (BASE + 8) / 4

    assert day["market_order"] == ["Filled", 1.0]
    assert day["positions"] == [["MES", 1.0, pytest.approx(price * POINT_USD + FEE_USD)]]


def test_the_account_is_worth_what_the_trades_made_of_it(day: dict[str, Any]) -> None:
    equity = 10_000 + 2 * 2 * POINT_USD - 5 * FEE_USD

    assert float(day["summary"]["NetLiquidation"]) == pytest.approx(equity, abs=0.01)
    assert float(day["values"]["NetLiquidation"]) == pytest.approx(equity, abs=0.01)
    assert float(day["summary"]["AvailableFunds"]) <= equity


def test_after_a_reconnect_everything_that_happened_is_known(day: dict[str, Any]) -> None:
    again = day["after_reconnect"]

    assert again["same_executions"]
    assert again["executions"] == 3
    assert again["refs"] == ["one/entry", "one/target", "three/entry"]
    assert again["commissions"] == pytest.approx([FEE_USD, 2 * FEE_USD, 2 * FEE_USD])
    assert again["positions"] == [[1.0, day["positions"][0][2]]]
    assert again["open"] == []
    assert again["completed"] == [
        ["one/entry", "Filled"],
        ["one/stop", "Cancelled"],
        ["one/target", "Filled"],
        ["three/entry", "Filled"],
        ["two/entry", "Cancelled"],
        ["two/stop", "Cancelled"],
        ["two/target", "Cancelled"],
    ]


def test_nothing_but_notices_and_the_cancels_is_told_as_an_error(day: dict[str, Any]) -> None:
    told = [code for code, _text in day["errors"] if code not in NOTICES]

    assert set(told) <= {CANCELLED}
    assert len(told) == 4
