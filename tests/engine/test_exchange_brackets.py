"""One bracket on a few hand-written bars at a time: its orders live and end together."""

from decimal import Decimal

import pytest
from exchange_tables import (
    ENTRY,
    FEE,
    FLAT,
    STOP,
    TARGET,
    bar,
    bracket,
    cancel,
    entered,
    fills,
    flatten,
    instant,
    move_stop,
    settings,
    story,
)

from engine.broker import PlaceProtection, PositionReported
from engine.exchange import Exchange, FaultKind
from engine.units import OrderRef, Side


def test_a_bracket_is_accepted_whole_and_its_children_wait() -> None:
    exchange = Exchange(settings())

    reports = exchange.submit(bracket(100, 94, 108), instant(1))

    assert story(reports) == [f"{ref} accepted" for ref in (ENTRY, STOP, TARGET)]
    held = {order.ref: order.is_held for order in exchange.truth(instant(1)).working}
    assert held == {ENTRY: False, STOP: True, TARGET: True}


def test_a_marketable_limit_takes_the_next_open_and_the_target_is_hit_later() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(101, 94, 108), instant(1))

    entry = exchange.on_bar(bar(1, 100, 102, 99, 101))
    target = exchange.on_bar(bar(2, 101, 109, 101, 108))

    assert story(entry) == [
        f"{ENTRY} +1@100",
        f"{ENTRY} filled",
        f"{STOP} accepted",
        f"{TARGET} accepted",
    ]
    assert story(target) == [f"{TARGET} -1@108", f"{TARGET} filled", f"{STOP} cancelled"]
    assert exchange.is_idle
    assert exchange.account(instant(3)).equity_usd == 5000 + 8 * Decimal("1.25") - 2 * FEE


def test_a_stop_is_hit_and_slips_by_the_stated_ticks() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 93, 95, slippage=2))

    assert story(reports) == [f"{STOP} -1@92", f"{STOP} filled", f"{TARGET} cancelled"]
    assert exchange.account(instant(3)).equity_usd == 5000 - 8 * Decimal("1.25") - 2 * FEE


@pytest.mark.parametrize("open_ticks", [95, 107], ids=["stop nearer", "target nearer"])
def test_a_bar_that_holds_both_stop_and_target_stops_out(open_ticks: int) -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, open_ticks, 110, 93, 100))

    assert fills(reports) == [f"{STOP} -1@94"]


def test_a_gap_through_the_stop_fills_at_the_open_which_is_worse() -> None:
    exchange = entered(Exchange(settings(slippage_ticks=1)))

    reports = exchange.on_bar(bar(2, 89, 96, 88, 95))

    assert fills(reports) == [f"{STOP} -1@88"]


def test_a_short_bracket_mirrors_a_long_one() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 106, 92), instant(1))

    entry = exchange.on_bar(bar(1, 100, 101, 98, 99, slippage=1))
    stop = exchange.on_bar(bar(2, 107, 108, 104, 105, slippage=1))

    assert fills(entry) == [f"{ENTRY} -1@100"]
    assert fills(stop) == [f"{STOP} +1@108"]


def test_a_partial_fill_then_a_cancel_leaves_a_protected_part() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=3), instant(1))
    part = exchange.on_bar(bar(1, 100, 102, 99, 101))
    filled = exchange.truth(instant(2)).positions[0].quantity

    ended = exchange.submit(cancel(ENTRY), instant(2))

    assert story(part)[1] == f"{ENTRY} partially_filled"
    assert filled in (1, 2)
    assert story(ended) == [f"{ENTRY} cancelled"]
    working = exchange.truth(instant(2)).working
    assert [(order.ref, order.quantity) for order in working] == [(STOP, filled), (TARGET, filled)]


def test_children_grow_with_each_part_of_the_entry() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=2, life_seconds=600), instant(1))

    protected = []
    for minute in (1, 2):
        exchange.on_bar(bar(minute, 100, 102, 99, 101))
        protected.append(exchange.truth(instant(minute + 1)).working[-2].quantity)

    assert protected == [1, 2]


def test_one_cancels_all_shrinks_the_stop_by_what_the_target_sold() -> None:
    exchange = entered(Exchange(settings(), seed=4), quantity=2)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    part = exchange.on_bar(bar(2, 101, 109, 101, 102))
    exchange.switch(FaultKind.PARTIAL_FILL, 0.0)

    rest = exchange.on_bar(bar(3, 100, 109, 92, 100))

    assert story(part) == [f"{TARGET} -1@108", f"{TARGET} partially_filled"]
    assert story(rest) == [f"{STOP} -1@94", f"{STOP} filled", f"{TARGET} cancelled"]
    assert exchange.truth(instant(4)).positions == ()


def test_a_stop_that_trades_ends_an_entry_still_filling() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=2, life_seconds=600), instant(1))

    reports = exchange.on_bar(bar(1, 100, 102, 93, 95))

    assert fills(reports) == [f"{ENTRY} +1@100", f"{STOP} -1@94"]
    assert story(reports)[-2:] == [f"{ENTRY} cancelled", f"{TARGET} cancelled"]
    assert exchange.is_idle is False  # The fault is still on, and faults need to see every bar.
    assert exchange.truth(instant(2)).working == ()


def test_flatten_cancels_the_working_bracket_and_closes_at_the_next_open() -> None:
    exchange = entered(Exchange(settings(slippage_ticks=1)))

    told = exchange.submit(flatten(), instant(2))
    closed = exchange.on_bar(bar(2, 103, 120, 80, 100))

    assert story(told) == [f"{STOP} cancelled", f"{TARGET} cancelled", f"{FLAT} accepted"]
    assert story(closed) == [f"{FLAT} -1@102", f"{FLAT} filled"]
    assert exchange.is_idle


def test_flatten_while_flat_says_so_and_ends() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.submit(flatten(), instant(1))

    assert story(reports)[-1] == f"{FLAT} cancelled"
    assert PositionReported(at=instant(1), symbol="MES", quantity=0) in reports
    assert exchange.is_idle


def test_a_replaced_stop_trades_at_its_new_price() -> None:
    exchange = entered(Exchange(settings()))

    told = exchange.submit(move_stop(STOP, 100), instant(2))
    reports = exchange.on_bar(bar(2, 102, 103, 99, 101))

    assert story(told) == [f"{STOP} accepted"]
    assert fills(reports) == [f"{STOP} -1@100"]


def test_a_stop_moved_through_the_market_trades_at_the_next_open() -> None:
    exchange = entered(Exchange(settings()))

    exchange.submit(move_stop(STOP, 100), instant(2))
    reports = exchange.on_bar(bar(2, 98, 99, 97, 98))

    assert fills(reports) == [f"{STOP} -1@98"]


def test_a_stop_can_be_hit_in_the_bar_of_the_entry() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.on_bar(bar(1, 103, 104, 93, 94))

    assert fills(reports) == [f"{ENTRY} +1@100", f"{STOP} -1@94"]


def test_a_protection_guards_a_naked_position() -> None:
    exchange = Exchange(settings())
    exchange.open_alien_position(Side.LONG, 1, 100, instant(1))
    stop_ref, target_ref = OrderRef("p/stop"), OrderRef("p/target")

    told = exchange.submit(
        PlaceProtection(
            symbol="MES",
            side=Side.LONG,
            quantity=1,
            stop_ref=stop_ref,
            stop_ticks=95,
            target_ref=target_ref,
            target_ticks=110,
        ),
        instant(1),
    )
    reports = exchange.on_bar(bar(1, 100, 101, 94, 95))

    assert story(told) == ["p/stop accepted", "p/target accepted"]
    assert story(reports) == ["p/stop -1@95", "p/stop filled", "p/target cancelled"]
