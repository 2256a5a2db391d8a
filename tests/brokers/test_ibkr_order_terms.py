"""What IB is told of an order: every field that matters is stated."""

from datetime import UTC, datetime
from decimal import Decimal

from exchange_tables import ENTRY, MES, STOP, TARGET, bracket, flatten, instant

from engine.broker import OrderKind, PlaceProtection
from engine.units import OrderRef, Side
from pipelines.brokers.ibkr.client_library import Library, library_order
from pipelines.brokers.ibkr.order_terms import (
    OrderTerms,
    TimeInForce,
    bracket_terms,
    closing_terms,
    good_till_instant,
    good_till_text,
    protection_terms,
)


def protection(*, with_target: bool) -> PlaceProtection:
    return PlaceProtection(
        symbol="MES",
        side=Side.LONG,
        quantity=1,
        stop_ref=OrderRef("p/stop"),
        stop_ticks=20_001,
        target_ref=OrderRef("p/target") if with_target else None,
        target_ticks=20_050 if with_target else None,
    )


def test_a_bracket_is_a_dated_limit_a_stop_market_and_a_limit() -> None:
    entry, stop, target = bracket_terms(bracket(20_003, 19_997, 20_017), MES)

    assert (entry.ref, entry.kind, entry.side, entry.price) == (
        ENTRY,
        OrderKind.LIMIT,
        Side.LONG,
        Decimal("5000.75"),
    )
    assert (stop.ref, stop.kind, stop.side, stop.price) == (
        STOP,
        OrderKind.STOP_MARKET,
        Side.SHORT,
        Decimal("4999.25"),
    )
    assert (target.ref, target.kind, target.side, target.price) == (
        TARGET,
        OrderKind.LIMIT,
        Side.SHORT,
        Decimal("5004.25"),
    )


def test_the_entry_lives_as_long_as_the_desk_says_and_protection_outlives_the_day() -> None:
    entry, stop, target = bracket_terms(bracket(100, 94, 108, life_seconds=90), MES)

    assert (entry.time_in_force, entry.good_till) == (
        TimeInForce.GOOD_TILL_DATE,
        instant(2.5),
    )
    assert {stop.time_in_force, target.time_in_force} == {TimeInForce.GOOD_TILL_CANCELLED}
    assert (entry.outside_rth, stop.outside_rth, target.outside_rth) == (False, True, True)


def test_only_the_last_leg_of_a_bracket_sets_it_off() -> None:
    legs = bracket_terms(bracket(100, 94, 108), MES)

    assert [leg.transmit for leg in legs] == [False, False, True]
    assert [leg.is_child for leg in legs] == [False, True, True]


def test_stop_and_target_cancel_each_other_and_the_entry_cancels_neither() -> None:
    entry, stop, target = bracket_terms(bracket(100, 94, 108), MES)

    assert entry.oca_group == ""
    assert stop.oca_group == target.oca_group == STOP
    assert [leg.oca_type for leg in (entry, stop, target)] == [1, 1, 1]


def test_a_protection_works_at_once_stop_first() -> None:
    stop, target = protection_terms(protection(with_target=True), MES)
    (alone,) = protection_terms(protection(with_target=False), MES)

    assert (stop.kind, stop.side, stop.price) == (
        OrderKind.STOP_MARKET,
        Side.SHORT,
        Decimal("5000.25"),
    )
    assert (target.kind, target.price) == (OrderKind.LIMIT, Decimal("5012.5"))
    assert stop.oca_group == target.oca_group == "p/stop"
    assert [stop.transmit, target.transmit, alone.transmit] == [True, True, True]
    assert not any(leg.is_child for leg in (stop, target, alone))


def test_a_position_is_closed_at_market_the_other_way() -> None:
    long, short = closing_terms(flatten(), 2), closing_terms(flatten(), -1)

    assert (long.side, long.quantity, long.kind, long.price) == (
        Side.SHORT,
        2,
        OrderKind.MARKET,
        None,
    )
    assert (short.side, short.quantity) == (Side.LONG, 1)


def test_the_librarys_order_says_what_the_terms_say() -> None:
    entry, stop, target = (
        library_order(Library.IB_INSYNC, terms, 7 if terms.is_child else 0, "DU1")
        for terms in bracket_terms(bracket(20_003, 19_997, 20_017), MES)
    )

    assert (entry.action, entry.orderType, entry.lmtPrice, entry.tif, entry.goodTillDate) == (
        "BUY",
        "LMT",
        5000.75,
        "GTD",
        "20240305-14:32:30",
    )
    assert (stop.action, stop.orderType, stop.auxPrice, stop.tif) == ("SELL", "STP", 4999.25, "GTC")
    assert (target.orderType, target.lmtPrice) == ("LMT", 5004.25)
    assert [order.orderRef for order in (entry, stop, target)] == [ENTRY, STOP, TARGET]
    assert [order.transmit for order in (entry, stop, target)] == [False, False, True]
    assert [order.parentId for order in (entry, stop, target)] == [0, 7, 7]
    assert [order.ocaType for order in (entry, stop, target)] == [1, 1, 1]
    assert [order.ocaGroup for order in (entry, stop, target)] == ["", STOP, STOP]
    assert {order.account for order in (entry, stop, target)} == {"DU1"}
    assert {order.totalQuantity for order in (entry, stop, target)} == {1}


def test_a_stop_has_no_limit_price_and_a_market_order_has_no_price() -> None:
    unset = 1e300
    stop = library_order(Library.IB_INSYNC, bracket_terms(bracket(100, 94, 108), MES)[1], 1, "DU1")
    market: OrderTerms = closing_terms(flatten(), 1)
    close = library_order(Library.IB_INSYNC, market, 0, "DU1")

    assert stop.lmtPrice > unset
    assert (close.orderType, close.lmtPrice > unset, close.auxPrice > unset) == ("MKT", True, True)


def test_the_end_of_a_life_is_told_in_utc_and_read_back() -> None:
    at = datetime(2025, 3, 10, 13, 31, 30, tzinfo=UTC)

    assert good_till_text(at) == "20250310-13:31:30"
    assert good_till_instant("20250310-13:31:30") == at
    assert good_till_instant("20250310 13:31:30 UTC") == at
    assert good_till_instant("20250310 09:31:30 US/Eastern") is None
    assert good_till_instant("") is None
