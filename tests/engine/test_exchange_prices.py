"""When an order trades within a bar or a quote, and at what price."""

from datetime import timedelta

import pytest
from exchange_tables import (
    ENTRY,
    STOP,
    TARGET,
    bar,
    bracket,
    entered,
    fills,
    instant,
    move_stop,
    settings,
    story,
)

from engine.broker import ExecutionReported
from engine.exchange import Exchange


def test_a_gap_through_a_resting_limit_is_no_gift() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 112, 113, 111, 112))

    assert fills(reports) == [f"{TARGET} -1@108"]


@pytest.mark.parametrize(
    ("on_touch", "high", "expected"),
    [(False, 108, []), (False, 109, [f"{TARGET} -1@108"]), (True, 108, [f"{TARGET} -1@108"])],
)
def test_a_limit_fills_when_traded_through_or_when_touched_by_setting(
    on_touch: bool, high: int, expected: list[str]
) -> None:
    exchange = entered(Exchange(settings(on_touch=on_touch)))

    reports = exchange.on_bar(bar(2, 101, high, 100, 102))

    assert fills(reports) == expected


def test_a_marketable_limit_slips_but_never_beyond_its_limit() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(101, 94, 108, name="a"), instant(1))
    exchange.submit(bracket(104, 94, 108, name="b"), instant(1))

    reports = exchange.on_bar(bar(1, 100, 102, 99, 101, slippage=3))

    assert fills(reports) == [f"{ENTRY} +1@101", "b/entry +1@103"]


def test_an_entry_lives_90_seconds_and_trades_in_no_bar_it_does_not_survive() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=90), instant(1))

    survived = exchange.on_bar(bar(1, 104, 105, 103, 104))
    died_in = exchange.on_bar(bar(2, 104, 105, 90, 95))

    assert story(survived) == []
    assert story(died_in) == [f"{ENTRY} expired", f"{STOP} cancelled", f"{TARGET} cancelled"]
    assert died_in[0].at == instant(2.5)
    assert exchange.is_idle


def test_an_entry_that_ends_with_the_bar_sees_all_of_it() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=120), instant(1))
    exchange.on_bar(bar(1, 104, 105, 103, 104))

    reports = exchange.on_bar(bar(2, 104, 105, 99, 101))

    assert fills(reports) == [f"{ENTRY} +1@100"]


def test_an_entry_whose_life_ends_with_the_bar_has_ended_when_the_bar_has() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=60), instant(1))

    reports = exchange.on_bar(bar(1, 104, 105, 103, 104))

    assert story(reports)[0] == f"{ENTRY} expired"
    assert exchange.is_idle


def test_time_alone_expires_an_entry() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    early = exchange.advance(instant(2.4))
    late = exchange.advance(instant(2.5))

    assert story(early) == []
    assert story(late)[0] == f"{ENTRY} expired"


def test_what_the_bar_did_before_the_entry_does_not_count() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.on_bar(bar(1, 106, 109, 99, 101))

    assert fills(reports) == [f"{ENTRY} +1@100"]


def test_an_order_that_arrives_inside_a_bar_sees_only_the_rest_of_it() -> None:
    exchange = Exchange(settings(latency_ms=30_000))
    exchange.submit(bracket(100, 94, 120, life_seconds=600), instant(1))

    reports = exchange.on_bar(bar(1, 98, 110, 90, 109))

    assert fills(reports) == [f"{ENTRY} +1@100"]
    assert reports[0].at == instant(1.5)


def test_a_fill_is_dated_by_the_place_of_its_price_on_the_path() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 91, 95))

    # Open to high in 20 seconds, high to low in the next 20: 94 is 7 of the 10 ticks down.
    assert reports[0].at == instant(2) + timedelta(seconds=34)


def test_a_quote_trades_buys_at_the_ask_and_sells_at_the_bid() -> None:
    exchange = Exchange(settings(slippage_ticks=3))
    exchange.submit(bracket(101, 94, 108), instant(1))

    not_yet = exchange.on_quote(instant(1.1), 101, 102)
    entry = exchange.on_quote(instant(1.2), 100, 101)
    stop = exchange.on_quote(instant(1.3), 93, 95)

    assert (fills(not_yet), fills(entry), fills(stop)) == (
        [],
        [f"{ENTRY} +1@101"],
        [f"{STOP} -1@93"],
    )


def test_the_quote_of_a_bar_counts_only_by_setting() -> None:
    for quotes, expected in ((False, []), (True, [f"{ENTRY} +1@100"])):
        exchange = Exchange(settings(quotes=quotes))
        exchange.submit(bracket(100, 94, 108), instant(1))

        reports = exchange.on_bar(bar(1, 103, 104, 101, 101, bid=99, ask=100))

        assert fills(reports) == expected


def test_slippage_is_never_more_than_its_maximum() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 93, 95, slippage=50))

    assert fills(reports) == [f"{STOP} -1@{94 - 6}"]


def test_a_quote_beyond_both_stop_and_target_stops_out() -> None:
    exchange = entered(Exchange(settings()))
    exchange.submit(move_stop(STOP, 109), instant(2))

    reports = exchange.on_quote(instant(2.1), 108, 109)

    assert story(reports) == [f"{STOP} -1@108", f"{STOP} filled", f"{TARGET} cancelled"]


def test_a_fraction_of_a_tick_is_paid_as_often_as_it_says() -> None:
    paid = []
    for number in range(400):
        exchange = Exchange(settings(slippage_ticks=0.5))
        exchange.submit(bracket(110, 94, 120, name=f"n{number}"), instant(1))
        reports = exchange.on_bar(bar(1, 100, 102, 99, 101))
        paid += [r.price_ticks - 100 for r in reports if isinstance(r, ExecutionReported)]

    assert set(paid) == {0, 1}
    assert sum(paid) == pytest.approx(200, abs=30)
