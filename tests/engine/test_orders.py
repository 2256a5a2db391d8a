"""The order table: every pair is either written or refused, and no report moves an order back."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import OrderEvent
from engine.errors import ImpossibleTransition
from engine.orders import (
    FINAL_STATES,
    LIVE_STATES,
    NEXT_STATE,
    OrderState,
    is_final,
    is_live,
    next_state,
)

PAIRS = list(itertools.product(OrderState, OrderEvent))
OWN_EVENTS = {OrderEvent.SEND, OrderEvent.CANCEL_REQUESTED}
REPORTS = [event for event in OrderEvent if event not in OWN_EVENTS]
PROGRESS = {
    OrderState.CREATED: 0,
    OrderState.SENT: 1,
    OrderState.WORKING: 2,
    OrderState.PARTIAL: 3,
    OrderState.CANCELLING: 4,
    OrderState.CANCELLED: 5,
    OrderState.REJECTED: 5,
    OrderState.EXPIRED: 5,
    OrderState.FILLED: 6,
}


def regressions(table: Mapping[tuple[OrderState, OrderEvent], OrderState]) -> set[tuple[str, str]]:
    """Rows that move an order back; what is `UNKNOWN` has no place in the order of progress."""
    return {
        (state.value, event.value)
        for (state, event), after in table.items()
        if OrderState.UNKNOWN not in (state, after) and PROGRESS[after] < PROGRESS[state]
    }


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.value)
def test_every_pair_is_in_the_table_or_raises_with_both_names(
    state: OrderState, event: OrderEvent
) -> None:
    if (state, event) in NEXT_STATE:
        assert next_state(state, event) is NEXT_STATE[state, event]
        return

    with pytest.raises(ImpossibleTransition, match=f"'{state.value}'.*'{event.value}'"):
        next_state(state, event)


def test_the_impossible_pairs_are_a_second_send_and_an_end_asked_of_no_living_order() -> None:
    refused = {pair for pair in PAIRS if pair not in NEXT_STATE}

    second_sends = {(s, OrderEvent.SEND) for s in OrderState if s is not OrderState.CREATED}
    pointless_cancels = {
        (s, OrderEvent.CANCEL_REQUESTED) for s in (OrderState.CREATED, *FINAL_STATES)
    }
    assert refused == second_sends | pointless_cancels


@given(st.sampled_from(OrderState), st.lists(st.sampled_from(REPORTS), max_size=12))
def test_no_sequence_of_reports_is_ever_impossible(
    state: OrderState, reports: list[OrderEvent]
) -> None:
    for report in reports:
        state = next_state(state, report)


def test_status_never_regresses() -> None:
    assert regressions(NEXT_STATE) == set()


def test_the_regression_law_sees_a_planted_regression() -> None:
    planted = {**NEXT_STATE, (OrderState.FILLED, OrderEvent.ACCEPTED): OrderState.WORKING}

    assert regressions(planted) == {("filled", "accepted")}


@given(st.permutations([OrderEvent.ACCEPTED, OrderEvent.PARTIALLY_FILLED, OrderEvent.FILLED]))
def test_a_fill_is_reached_in_whatever_order_its_reports_arrive(reports: list[OrderEvent]) -> None:
    state = OrderState.SENT

    for report in reports:
        state = next_state(state, report)

    assert state is OrderState.FILLED


@given(
    st.sampled_from(sorted(FINAL_STATES | LIVE_STATES)),
    st.sampled_from([r for r in REPORTS if r is not OrderEvent.PARTIALLY_FILLED]),
)
def test_a_duplicate_report_changes_nothing(state: OrderState, report: OrderEvent) -> None:
    once = next_state(state, report)

    assert next_state(once, report) is once


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("send filled accepted", OrderState.FILLED),
        ("send accepted cancel_requested filled cancelled", OrderState.FILLED),
        ("send accepted cancel_requested cancelled filled", OrderState.FILLED),
        ("send accepted rejected", OrderState.REJECTED),
        ("send rejected accepted", OrderState.REJECTED),
        ("send accepted partially_filled expired", OrderState.EXPIRED),
        ("send accepted partially_filled rejected", OrderState.CANCELLED),
        ("send accepted partially_filled cancel_requested cancelled", OrderState.CANCELLED),
        ("send accepted cancel_requested partially_filled cancelled", OrderState.CANCELLED),
        ("send lost_track accepted", OrderState.WORKING),
        ("send lost_track rejected", OrderState.REJECTED),
        ("send lost_track cancel_requested lost_track filled", OrderState.FILLED),
        ("send accepted cancel_requested cancel_requested lost_track", OrderState.UNKNOWN),
        ("lost_track partially_filled filled", OrderState.FILLED),
        ("send rejected partially_filled", OrderState.UNKNOWN),
    ],
)
def test_an_awkward_life_ends_where_the_exchange_says(events: str, state: OrderState) -> None:
    reached = OrderState.CREATED

    for name in events.split():
        reached = next_state(reached, OrderEvent(name))

    assert reached is state


def test_a_state_is_final_or_live_or_not_yet_sent() -> None:
    assert {s for s in OrderState if is_final(s)} == FINAL_STATES
    assert {s for s in OrderState if is_live(s)} == LIVE_STATES

    assert set(OrderState) - FINAL_STATES - LIVE_STATES == {OrderState.CREATED}
