"""Orders sent one by one: alone, under a parent, in OCA groups, changed, and met by a quote."""

from datetime import timedelta
from decimal import Decimal

import pytest
from exchange_tables import bar, bracket, instant, settings, story

from engine.broker import OrderKind, OrderReported
from engine.errors import DuplicateOrderRef
from engine.exchange import Exchange, FaultKind, PlaceOrder, ReplaceOrder
from engine.units import OrderRef, Side

KINDS = {"limit": OrderKind.LIMIT, "stop": OrderKind.STOP_MARKET, "market": OrderKind.MARKET}


def order(
    ref: str,
    lots: int,
    kind: str,
    price: int | None = None,
    *,
    under: str | None = None,
    group: str | None = None,
    at_once: bool = False,
    lives_minutes: float | None = None,
) -> PlaceOrder:
    return PlaceOrder(
        ref=OrderRef(ref),
        symbol="MES",
        side=Side.LONG if lots > 0 else Side.SHORT,
        kind=KINDS[kind],
        quantity=abs(lots),
        price_ticks=price,
        expires_at=None if lives_minutes is None else instant(1 + lives_minutes),
        parent_ref=None if under is None else OrderRef(under),
        oca_group=group,
        cancels_at_once=at_once,
    )


def placed(*orders: PlaceOrder, margin_usd: int = 0) -> Exchange:
    exchange = Exchange(settings(margin_usd=margin_usd))
    for each in orders:
        exchange.submit(each, instant(1))
    return exchange


def replace(ref: str, quantity: int, price: int | None) -> ReplaceOrder:
    return ReplaceOrder(ref=OrderRef(ref), quantity=quantity, price_ticks=price)


def reason(exchange: Exchange, refused: PlaceOrder) -> str:
    (report,) = exchange.submit(refused, instant(1))
    assert isinstance(report, OrderReported)
    return f"{report.event.value}: {report.text}"


def test_an_order_alone_fills_as_its_kind_says() -> None:
    exchange = placed(
        order("m", 1, "market"), order("l", 1, "limit", 97), order("s", 1, "stop", 103)
    )

    assert story(exchange.on_bar(bar(1, 100, 102, 98, 101))) == ["m +1@100", "m filled"]
    assert story(exchange.on_bar(bar(2, 101, 104, 101, 103))) == ["s +1@103", "s filled"]
    assert story(exchange.on_bar(bar(3, 103, 103, 96, 97))) == ["l +1@97", "l filled"]


def test_children_sent_one_by_one_make_the_bracket_that_is_sent_at_once() -> None:
    single = placed(
        order("a/entry", 2, "limit", 100, lives_minutes=1.5),
        order("a/stop", -2, "stop", 94, under="a/entry"),
        order("a/target", -2, "limit", 108, under="a/entry"),
    )
    whole = Exchange(settings())
    whole.submit(bracket(100, 94, 108, quantity=2), instant(1))
    bars = [bar(1, 100, 102, 99, 101), bar(2, 101, 109, 93, 95)]

    assert [single.on_bar(each) for each in bars] == [whole.on_bar(each) for each in bars]
    assert single.truth(instant(3)) == whole.truth(instant(3))


def test_children_of_an_entry_that_ends_unfilled_end_with_it() -> None:
    exchange = placed(
        order("e", 1, "limit", 90, lives_minutes=0.5), order("s", -1, "stop", 80, under="e")
    )

    assert story(exchange.on_bar(bar(1, 100, 101, 99, 100))) == ["e expired", "s cancelled"]


def test_a_child_added_to_a_partly_filled_entry_works_at_once() -> None:
    exchange = Exchange(settings(), seed=3)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(order("e", 2, "limit", 100), instant(1))
    assert story(exchange.on_bar(bar(1, 100, 100, 100, 100)))[0] == "e +1@100"

    exchange.submit(order("s", -2, "stop", 95, under="e"), instant(2))
    reports = story(exchange.on_bar(bar(2, 97, 97, 94, 94)))

    assert reports == ["e +1@97", "e filled", "s -1@95", "s partially_filled"]


def test_members_of_a_group_share_their_lots() -> None:
    exchange = Exchange(settings(), seed=3)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    for each in (order("t", -2, "limit", 105, group="g"), order("s", -2, "stop", 95, group="g")):
        exchange.submit(each, instant(1))

    first = story(exchange.on_bar(bar(1, 100, 107, 100, 101)))
    second = story(exchange.on_bar(bar(2, 101, 101, 94, 94)))

    assert first == ["t -1@105", "t partially_filled"]
    assert second == ["s -1@95", "s filled", "t cancelled"]
    assert exchange.truth(instant(3)).positions[0].quantity == -2


def test_the_first_fill_ends_a_group_that_cancels_at_once() -> None:
    exchange = Exchange(settings(), seed=3)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    for each in (
        order("t", -2, "limit", 105, group="g", at_once=True),
        order("s", -2, "stop", 95, group="g", at_once=True),
    ):
        exchange.submit(each, instant(1))

    reports = story(exchange.on_bar(bar(1, 100, 107, 100, 101)))

    assert reports == ["t -1@105", "t partially_filled", "s cancelled"]
    assert [each.ref for each in exchange.truth(instant(2)).working] == ["t"]


def test_what_cannot_be_placed_is_refused_with_the_reason() -> None:
    exchange = placed(margin_usd=3000)
    exchange.submit(order("g1", 1, "limit", 90, group="over"), instant(1))
    exchange.submit(order("g1x", 1, "market", group="over"), instant(1))
    exchange.on_bar(bar(1, 100, 101, 99, 100))

    assert reason(exchange, order("a", 1, "limit")) == "rejected: a limit order with the price None"
    assert (
        reason(exchange, order("b", 1, "market", 9)) == "rejected: a market order with the price 9"
    )
    assert (
        reason(exchange, order("c", 1, "market", under="no")) == "rejected: no working parent order"
    )
    assert (
        reason(exchange, order("d", 1, "market", group="over")) == "rejected: the OCA group is over"
    )
    assert reason(exchange, order("e", 1, "market", lives_minutes=0)) == (
        "rejected: the order's life was over on arrival"
    )
    assert reason(exchange, order("f", 2, "market")) == (
        "rejected: not enough funds for the margin"
    )


def test_closing_lots_needs_no_margin() -> None:
    exchange = placed(order("buy", 1, "market"), margin_usd=3000)
    exchange.on_bar(bar(1, 100, 101, 99, 100))

    reports = exchange.submit(order("sell", -2, "market"), instant(2))

    assert story(reports) == ["sell accepted"]


def test_a_ref_is_never_placed_twice() -> None:
    exchange = placed(order("a", 1, "market"))

    with pytest.raises(DuplicateOrderRef):
        exchange.submit(order("a", 1, "market"), instant(1))


def test_a_replaced_order_trades_at_its_new_price_and_quantity() -> None:
    exchange = placed(order("l", 1, "limit", 90), order("s", -1, "stop", 80))

    exchange.submit(replace("l", 3, 102), instant(1))
    exchange.submit(replace("s", 1, 99), instant(1))

    assert story(exchange.on_bar(bar(1, 100, 101, 99, 100))) == [
        "l +3@100",
        "l filled",
        "s -1@99",
        "s filled",
    ]


def test_a_limit_replaced_beyond_the_market_takes_the_price_it_finds() -> None:
    exchange = placed(order("l", 1, "limit", 90))
    exchange.on_bar(bar(1, 100, 101, 99, 100))

    exchange.submit(replace("l", 1, 105), instant(2))

    assert story(exchange.on_bar(bar(2, 100, 106, 100, 104))) == ["l +1@100", "l filled"]


def test_a_replace_of_what_is_over_is_answered_with_how_it_ended() -> None:
    exchange = placed(order("m", 1, "market"))
    exchange.on_bar(bar(1, 100, 101, 99, 100))

    assert story(exchange.submit(replace("m", 2, None), instant(2))) == ["m filled"]
    assert story(exchange.submit(replace("no", 2, None), instant(2))) == ["no lost_track"]


def test_a_replace_below_what_is_filled_changes_nothing() -> None:
    exchange = Exchange(settings(), seed=3)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(order("l", 2, "limit", 100), instant(1))
    exchange.on_bar(bar(1, 100, 100, 100, 100))

    assert story(exchange.submit(replace("l", 1, 100), instant(2))) == ["l lost_track"]
    assert exchange.truth(instant(2)).working[0].quantity == 1


def test_what_arrives_meets_the_standing_quote_and_what_rests_does_not() -> None:
    exchange = Exchange(settings(latency_ms=250))
    exchange.submit(order("rests", -1, "limit", 100), instant(0))
    exchange.on_bar(bar(0, 98, 99, 97, 98))
    for each in (
        order("m", 1, "market"),
        order("inside", 1, "limit", 102),
        order("outside", 1, "limit", 100),
        order("child", -1, "limit", 99, under="inside"),
    ):
        exchange.submit(each, instant(1))

    reports = exchange.on_arrivals(instant(1), 100, 101)

    assert story(reports) == [
        "m +1@101",
        "m filled",
        "inside +1@101",
        "inside filled",
        "child accepted",
        "child -1@100",
        "child filled",
    ]
    assert reports[0].at == instant(1) + timedelta(milliseconds=250)
    assert exchange.account(instant(1)).equity_usd == 5000 - Decimal("2.5") - 3 * Decimal("0.62")


def test_single_orders_survive_a_restart() -> None:
    exchange = placed(
        order("e", 1, "limit", 100),
        order("s", -1, "stop", 94, under="e", at_once=True),
        order("t", -1, "limit", 108, under="e", at_once=True),
    )
    bars = [bar(1, 100, 102, 99, 101), bar(2, 101, 109, 100, 105)]

    restored = Exchange.restore(settings(), exchange.state())

    assert [restored.on_bar(each) for each in bars] == [exchange.on_bar(each) for each in bars]
