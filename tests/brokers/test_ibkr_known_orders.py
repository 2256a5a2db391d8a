"""What the adapter tells the desk about orders, from words the gateway may use in any order."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from exchange_tables import ENTRY, STOP, TARGET, instant
from hypothesis import given
from hypothesis import strategies as st
from ibkr_words import (
    AT,
    bracket_sent,
    bracket_working,
    error,
    fill,
    listed,
    status,
    words,
)

from engine.broker import CommissionReported, OrderEvent, OrderReported
from engine.errors import DuplicateOrderRef, OffGridPrice
from engine.orders import OrderState, is_final
from engine.units import OrderRef
from pipelines.brokers.ibkr.known_orders import KnownOrders
from pipelines.brokers.ibkr.messages import CommissionTold


def state_of(orders: KnownOrders, ref: OrderRef) -> OrderState:
    return orders.by_ref[ref].state


# ── Acknowledgement and fills ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", ["PreSubmitted", "Submitted"])
def test_an_order_is_accepted_once_the_broker_works_or_holds_it(word: str) -> None:
    orders = bracket_sent()

    assert words(orders.on_status(status(STOP, word), AT)) == ["a/stop accepted"]


@pytest.mark.parametrize("word", ["PendingSubmit", "ApiPending", "PendingCancel", "SomethingNew"])
def test_a_status_that_decides_nothing_is_not_told(word: str) -> None:
    orders = bracket_sent()

    assert orders.on_status(status(ENTRY, word), AT) == []
    assert state_of(orders, ENTRY) is OrderState.SENT


def test_a_fill_is_told_with_its_price_and_then_as_the_end_of_the_order() -> None:
    orders = bracket_working()

    told = orders.on_execution(fill(ENTRY, "e1.01"), AT)

    assert words(told) == ["a/entry +1@100", "a/entry filled"]


def test_a_fill_may_outrun_the_acknowledgement_and_a_late_one_is_not_told() -> None:
    orders = bracket_sent()

    told = orders.on_execution(fill(ENTRY, "e1.01"), AT)
    late = orders.on_status(status(ENTRY, "Submitted"), AT)

    assert words(told) == ["a/entry +1@100", "a/entry filled"]
    assert late == []


def test_quantity_comes_from_executions_and_not_from_the_status() -> None:
    orders = bracket_working(quantity=2)

    by_status = orders.on_status(status(ENTRY, "Filled", filled=2), AT)
    first = orders.on_execution(fill(ENTRY, "e1.01"), AT)
    second = orders.on_execution(fill(ENTRY, "e2.01"), AT)

    assert by_status == []
    assert words(first) == ["a/entry +1@100", "a/entry partially_filled"]
    assert words(second) == ["a/entry +1@100", "a/entry filled"]


def test_a_status_that_speaks_of_untold_fills_has_them_asked_for() -> None:
    orders = bracket_working()
    before = orders.is_short_of_fills

    orders.on_status(status(ENTRY, "Filled", filled=1), AT)
    short = orders.is_short_of_fills
    orders.on_execution(fill(ENTRY, "e1.01", request_id=9), AT)

    assert (before, short, orders.is_short_of_fills) == (False, True, False)
    assert state_of(orders, ENTRY) is OrderState.FILLED


def test_an_execution_told_twice_is_told_once() -> None:
    orders = bracket_working()
    orders.on_execution(fill(ENTRY, "e1.01"), AT)

    assert orders.on_execution(fill(ENTRY, "e1.01"), AT) == []
    assert orders.by_ref[ENTRY].quantity_filled == 1


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    orders = bracket_working(quantity=2)
    orders.on_execution(fill(ENTRY, "e1.01", quantity=2), AT)

    told = orders.on_execution(fill(ENTRY, "e1.02", quantity=2, price="25.25"), AT)

    assert words(told) == ["a/entry +2@101"]
    assert orders.by_ref[ENTRY].quantity_filled == 2


def test_an_older_revision_that_comes_late_does_not_count_again() -> None:
    orders = bracket_working(quantity=2)
    orders.on_execution(fill(ENTRY, "e1.02", quantity=1), AT)

    orders.on_execution(fill(ENTRY, "e1.01", quantity=2), AT)

    assert orders.by_ref[ENTRY].quantity_filled == 1


def test_a_fill_between_two_ticks_is_refused_and_not_rounded() -> None:
    orders = bracket_working()

    with pytest.raises(OffGridPrice, match=r"25\.10"):
        orders.on_execution(fill(ENTRY, "e1.01", price="25.10"), AT)


def test_a_fee_not_known_yet_is_not_told() -> None:
    orders = bracket_working()
    known = CommissionTold(execution_id="e1.01", commission_usd=Decimal("0.62"))
    unknown = CommissionTold(execution_id="e1.01", commission_usd=None)

    assert orders.on_commission(unknown, AT) == []
    assert orders.on_commission(known, AT) == [
        CommissionReported(at=AT, execution_id="e1.01", commission_usd=Decimal("0.62"))
    ]


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_order_is_told_as_cancelled_when_its_status_says_so() -> None:
    orders = bracket_working()

    assert words(orders.on_status(status(STOP, "Cancelled"), AT)) == ["a/stop cancelled"]


def test_an_entry_that_ends_after_its_life_has_expired() -> None:
    orders = bracket_working()

    told = orders.on_status(status(ENTRY, "Cancelled"), instant(2.5))

    assert words(told) == ["a/entry expired"]


def test_an_entry_cancelled_by_us_has_not_expired_even_if_its_life_is_over() -> None:
    orders = bracket_working()
    orders.by_ref[ENTRY].is_cancel_asked = True

    assert words(orders.on_status(status(ENTRY, "Cancelled"), instant(3))) == ["a/entry cancelled"]


def test_a_fill_after_a_cancel_is_told_because_the_exchange_is_right() -> None:
    orders = bracket_working()
    orders.on_status(status(ENTRY, "Cancelled"), AT)

    told = orders.on_execution(fill(ENTRY, "e1.01"), AT)

    assert words(told) == ["a/entry +1@100", "a/entry filled"]


def test_a_reject_carries_its_code_and_reason() -> None:
    orders = bracket_sent()

    (told,) = orders.on_error(error(ENTRY, 201, "Order rejected - reason: margin"), AT)

    assert isinstance(told, OrderReported)
    assert (told.event, told.text) == (
        OrderEvent.REJECTED,
        "201: Order rejected - reason: margin",
    )


def test_children_of_a_refused_entry_are_refused_with_it() -> None:
    orders = bracket_sent()
    orders.on_error(error(ENTRY, 201, "margin"), AT)

    told = orders.on_status(status(STOP, "Cancelled"), AT)

    assert words(told) == ["a/stop rejected"]
    assert isinstance(told[0], OrderReported)
    assert told[0].text == "its entry was refused: 201: margin"


def test_inactive_waits_for_the_reason_that_follows() -> None:
    orders = bracket_sent()

    before = orders.on_status(status(ENTRY, "Inactive"), AT)
    reason = orders.on_error(error(ENTRY, 201, "margin"), AT)

    assert before == []
    assert words(reason) == ["a/entry rejected"]


def test_a_working_order_that_turns_inactive_is_in_doubt() -> None:
    orders = bracket_working()

    assert words(orders.on_status(status(ENTRY, "Inactive"), AT)) == ["a/entry lost_track"]


# ── Codes that say nothing final ────────────────────────────────────────────────────────────────


MADE_UP_CANCELS = [103, 104, 105, 110, 161, 321, 354, 387, 10147, 10148, 10197, 10311, 10349]


@pytest.mark.parametrize("code", MADE_UP_CANCELS)
def test_no_code_ends_an_order_that_works(code: int) -> None:
    orders = bracket_working()

    orders.on_error(error(STOP, code), AT)

    assert not is_final(state_of(orders, STOP))


@pytest.mark.parametrize("code", [10349, 399, 404, 2109])
def test_a_warning_about_an_order_is_not_told(code: int) -> None:
    orders = bracket_sent()

    assert orders.on_error(error(ENTRY, code), AT) == []
    assert state_of(orders, ENTRY) is OrderState.SENT


@pytest.mark.parametrize("code", [103, 104, 161, 10147, 10148, 10197, 10311, 99_999])
def test_a_code_that_leaves_doubt_makes_the_desk_ask(code: int) -> None:
    orders = bracket_working()

    assert words(orders.on_error(error(STOP, code), AT)) == ["a/stop lost_track"]


@pytest.mark.parametrize("code", [105, 110, 201, 321])
def test_a_refused_change_leaves_the_working_order_in_doubt_and_not_refused(code: int) -> None:
    orders = bracket_working()
    orders.by_ref[STOP].is_change_asked = True

    assert words(orders.on_error(error(STOP, code), AT)) == ["a/stop lost_track"]
    assert words(orders.on_status(status(STOP, "Submitted"), AT)) == ["a/stop accepted"]


@pytest.mark.parametrize("code", [103, 110, 201, 321, 387])
def test_a_new_order_that_is_not_taken_is_refused_or_in_doubt(code: int) -> None:
    orders = bracket_sent()

    (told,) = orders.on_error(error(ENTRY, code), AT)

    expected = OrderEvent.LOST_TRACK if code == 103 else OrderEvent.REJECTED
    assert isinstance(told, OrderReported)
    assert told.event is expected


def test_a_late_reject_ends_an_order_that_was_working() -> None:
    orders = bracket_working()

    assert words(orders.on_error(error(ENTRY, 201), AT)) == ["a/entry rejected"]


def test_an_error_about_nobody_we_know_is_not_about_an_order() -> None:
    orders = KnownOrders(bracket_sent().instrument)

    assert orders.on_error(error(ENTRY, 201), AT) == []


# ── Laws ────────────────────────────────────────────────────────────────────────────────────────


def test_the_end_is_the_same_in_whatever_order_it_is_told() -> None:
    messages = ("ack", "fill 1", "fill 2", "filled", "ack again")

    for order in permutations(messages):
        orders = bracket_sent(quantity=2)
        told = []
        for message in order:
            match message:
                case "ack" | "ack again":
                    told += orders.on_status(status(ENTRY, "Submitted"), AT)
                case "fill 1":
                    told += orders.on_execution(fill(ENTRY, "e1.01"), AT)
                case "fill 2":
                    told += orders.on_execution(fill(ENTRY, "e2.01"), AT)
                case "filled":
                    told += orders.on_status(status(ENTRY, "Filled", filled=2), AT)
        said = words(told)
        assert state_of(orders, ENTRY) is OrderState.FILLED, order
        assert said.count("a/entry +1@100") == 2, order
        assert said.count("a/entry filled") == 1, order
        assert said[-1] == "a/entry filled", order


@given(
    st.lists(st.sampled_from(["PreSubmitted", "Submitted", "Cancelled", "Inactive"]), max_size=8)
)
def test_a_status_never_takes_an_ended_order_back(statuses: list[str]) -> None:
    orders = bracket_working()
    orders.on_execution(fill(ENTRY, "e1.01"), AT)

    told = [report for word in statuses for report in orders.on_status(status(ENTRY, word), AT)]

    assert told == []
    assert state_of(orders, ENTRY) is OrderState.FILLED


# ── Connections ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_learnt_while_a_connection_is_read_in_is_not_told() -> None:
    orders = KnownOrders(bracket_sent().instrument, is_silent=True)

    told = orders.on_order(listed(ENTRY, order_id=11, perm_id=1011), AT)
    told += orders.on_status(status(ENTRY, "Submitted"), AT)
    orders.is_silent = False
    told += orders.on_execution(fill(ENTRY, "e1.01"), AT)

    assert words(told) == ["a/entry +1@100", "a/entry filled"]


def test_a_completed_order_is_known_by_its_ref_without_an_order_id() -> None:
    orders = KnownOrders(bracket_sent().instrument, is_silent=True)

    orders.on_order(listed(ENTRY, perm_id=1011, state="Filled", is_completed=True), AT)

    assert state_of(orders, ENTRY) is OrderState.FILLED
    assert orders.unacknowledged() == ()
    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        orders.demand_new([ENTRY])


def test_an_execution_finds_its_order_by_perm_id_after_a_restart() -> None:
    orders = KnownOrders(bracket_sent().instrument, is_silent=True)
    orders.on_order(listed(ENTRY, order_id=77, perm_id=1011), AT)
    orders.is_silent = False

    told = orders.on_execution(fill(ENTRY, "e1.01"), AT)

    assert words(told) == ["a/entry +1@100", "a/entry filled"]


def test_an_order_id_of_another_client_is_not_taken_for_ours() -> None:
    orders = bracket_sent()
    theirs = replace(status(ENTRY, "Filled", filled=1), client_id=7, perm_id=5)
    their_fill = replace(fill(ENTRY, "x1.01"), client_id=7, perm_id=5, ref=None)
    their_order = replace(listed(OrderRef("theirs"), order_id=11, perm_id=5), client_id=7)

    told = orders.on_order(their_order, AT)
    told += orders.on_status(theirs, AT)
    told += orders.on_execution(their_fill, AT)

    assert words(told) == ["permId/5 +1@100"]
    assert state_of(orders, ENTRY) is OrderState.SENT
    assert OrderRef("theirs") not in orders.by_ref


def test_only_what_was_sent_and_not_answered_is_lost_with_a_connection() -> None:
    orders = bracket_sent()
    orders.on_status(status(ENTRY, "Submitted"), AT)

    told = orders.lost(orders.unacknowledged(), AT, "the connection was lost")

    assert words(told) == ["a/stop lost_track", "a/target lost_track"]


def test_a_ref_is_taken_once() -> None:
    orders = bracket_sent()

    with pytest.raises(DuplicateOrderRef, match="a/stop"):
        orders.demand_new([OrderRef("new"), STOP])


def test_a_fill_of_an_order_without_a_ref_is_named_by_its_perm_id() -> None:
    orders = KnownOrders(bracket_sent().instrument)
    alien = replace(fill(TARGET, "x1.01"), ref=None)

    (told,) = orders.on_execution(alien, AT)

    assert words([told]) == ["permId/1013 -1@100"]
