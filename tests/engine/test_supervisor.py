"""Orders by ref, the ledger of executions, and the comparison with the broker's truth."""

from dataclasses import replace
from decimal import Decimal

import pytest
from desk_stage import PRICE, RULES, SESSION_DATE, Stage, at, fill, snapshot, working

from engine.broker import (
    CancelOrder,
    CompletedOrder,
    FlattenPosition,
    Leg,
    OrderEvent,
    OrderKind,
    ReplaceStop,
)
from engine.errors import DuplicateOrderRef
from engine.ledger import Ledger
from engine.orders import OrderState
from engine.reconciliation import Finding, FindingKind, findings, unheard
from engine.supervisor import (
    after_intent,
    bracket,
    order_ref,
    overdue_entries,
    protection,
    read_ref,
    unacknowledged,
    unknown_for_too_long,
)
from engine.units import DecisionId, OrderRef, Side

LAW = RULES.execution


def staged(*, held: bool) -> Stage:
    stage = Stage()
    stage.open_session()
    stage.hold() if held else stage.enter()
    return stage


ENTERED, HELD = staged(held=False).state, staged(held=True).state
PLAN = HELD.trade.plan
ID = PLAN.decision_id
ENTRY, STOP, TARGET = (HELD.orders.of(ID, leg)[0] for leg in (Leg.ENTRY, Leg.STOP, Leg.TARGET))
STOP_WORKS = working(STOP.ref, Side.SHORT, STOP.price_ticks, OrderKind.STOP_MARKET)
TARGET_WORKS = working(TARGET.ref, Side.SHORT, TARGET.price_ticks, OrderKind.LIMIT)


# ── Refs and intents ────────────────────────────────────────────────────────────────────────────


def test_a_ref_is_derived_from_session_decision_and_leg():
    assert ENTRY.ref == "2024-03-05/MES-1511/entry"
    assert order_ref(SESSION_DATE, ID, Leg.STOP, HELD.orders) == "2024-03-05/MES-1511/stop-2"


@pytest.mark.parametrize(
    ("ref", "read"),
    [
        ("2024-03-05/MES-1511/entry", ("MES-1511", Leg.ENTRY)),
        ("2024-03-05/MES-1511/stop-2", ("MES-1511", Leg.STOP)),
        ("2024-03-05/MES-1511/hedge", None),
        ("tws:7", None),
        ("", None),
        (None, None),
    ],
)
def test_a_ref_is_read_back_and_a_foreign_one_is_not_ours(ref: str | None, read: object) -> None:
    assert read_ref(ref) == read


def test_an_intent_with_a_used_ref_is_refused():
    command = bracket(PLAN, SESSION_DATE, type(HELD.orders)(), at=at(50), rules=LAW)

    with pytest.raises(DuplicateOrderRef, match="MES-1511/entry again"):
        after_intent(HELD.orders, command, ID, 1, at(50))


def test_an_entry_lives_ninety_seconds_from_its_decision():
    assert ENTRY.expires_at == at(42.5)


def test_protection_restores_stop_and_target_under_new_refs():
    command = protection(PLAN, SESSION_DATE, HELD.orders, position=1, stop_price_ticks=PRICE - 3)

    assert (command.stop_ref, command.target_ref) == (
        "2024-03-05/MES-1511/stop-2",
        "2024-03-05/MES-1511/target-2",
    )
    assert (command.side, command.stop_ticks, command.quantity) == (Side.LONG, PRICE - 3, 1)


def test_a_flattening_asks_for_the_end_of_everything_alive():
    command = FlattenPosition(symbol="MES", ref=OrderRef("f"))

    orders = after_intent(HELD.orders, command, ID, 1, at(50))

    assert orders.find(STOP.ref).state is OrderState.CANCELLING
    assert orders.find(ENTRY.ref).state is OrderState.FILLED
    flatten = orders.find(OrderRef("f"))
    assert (flatten.side, flatten.quantity, flatten.state) == (Side.SHORT, 1, OrderState.SENT)


def test_a_moved_stop_is_known_at_its_new_price():
    orders = after_intent(HELD.orders, ReplaceStop(ref=STOP.ref, stop_ticks=PRICE), ID, 1, at(50))

    assert orders.find(STOP.ref).price_ticks == PRICE


def test_an_order_taken_for_ended_may_still_be_cancelled():
    assert after_intent(HELD.orders, CancelOrder(ref=ENTRY.ref), ID, 1, at(50)) is HELD.orders


# ── What time makes due ─────────────────────────────────────────────────────────────────────────


def test_an_order_nobody_acknowledges_is_lost_after_a_while():
    sent = ENTERED.orders.all[0]._replace(state=OrderState.SENT, changed_at=at(41))
    orders = ENTERED.orders.with_order(sent)

    assert unacknowledged(orders, at(41.49), LAW) == ()
    assert unacknowledged(orders, at(41.5), LAW) == (sent,)


def test_an_unknown_order_has_a_bounded_life():
    lost = ENTERED.orders.after_event(ENTRY.ref, OrderEvent.LOST_TRACK, at(41))

    assert unknown_for_too_long(lost, at(41.5), LAW) == ()
    assert [order.ref for order in unknown_for_too_long(lost, at(41.51), LAW)] == [ENTRY.ref]


def test_an_entry_that_outlives_its_life_is_overdue():
    assert overdue_entries(ENTERED.orders, at(42.5)) == ()
    assert [order.ref for order in overdue_entries(ENTERED.orders, at(42.51))] == [ENTRY.ref]
    assert overdue_entries(HELD.orders, at(99)) == ()


# ── The ledger ──────────────────────────────────────────────────────────────────────────────────


def test_an_execution_counts_once():
    bought = fill(ENTRY.ref, Side.LONG, PRICE, 41, name="a.1.01")

    ledger = Ledger().with_execution(bought).with_execution(bought)

    assert (ledger.position, len(ledger.executions)) == (1, 1)


def test_a_correction_takes_the_place_of_what_it_corrects_whatever_the_order():
    wrong = fill(ENTRY.ref, Side.LONG, PRICE, 41, name="a.1.01")
    right = fill(ENTRY.ref, Side.LONG, PRICE + 1, 41, name="a.1.02")

    forward = Ledger().with_execution(wrong).with_execution(right)
    backward = Ledger().with_execution(right).with_execution(wrong)

    assert forward.executions == backward.executions == (right,)


def test_fees_are_estimated_until_they_are_reported():
    fills = (
        fill(ENTRY.ref, Side.LONG, PRICE, 41, name="a.1.01"),
        fill(STOP.ref, Side.SHORT, PRICE, 42, name="a.2.01"),
    )
    ledger = Ledger(executions=fills).with_commission("a.1.01", Decimal("0.70"))

    assert ledger.fees_usd(fills, Decimal("0.62")) == Decimal("1.32")


# ── Reconciliation ──────────────────────────────────────────────────────────────────────────────


def found(state, truth):
    return findings(state.orders, state.ledger, state.trade, truth, symbol="MES", rules=LAW)


def kinds(state, truth):
    return [finding.kind for finding in found(state, truth)]


def test_two_equal_pictures_have_no_findings():
    truth = snapshot(45, position=1, working=[STOP_WORKS, TARGET_WORKS])

    assert found(HELD, truth) == ()
    assert unheard(HELD.orders, HELD.ledger, truth, LAW) == ()


def test_an_execution_nobody_told_is_heard_from_the_snapshot():
    stopped = fill(STOP.ref, Side.SHORT, STOP.price_ticks, 44, name="x.2.01")
    truth = snapshot(45, executions=[*HELD.ledger.executions, stopped])

    reports = unheard(HELD.orders, HELD.ledger, truth, LAW)

    assert stopped in reports
    assert HELD.ledger.executions[0] not in reports


def test_an_end_nobody_told_is_heard_from_the_snapshot():
    truth = snapshot(45, completed=[CompletedOrder(ref=ENTRY.ref, event=OrderEvent.EXPIRED)])

    reports = unheard(ENTERED.orders, ENTERED.ledger, truth, LAW)

    assert (ENTRY.ref, OrderEvent.EXPIRED) in [(r.ref, r.event) for r in reports]


def test_an_order_the_broker_never_saw_is_absent_unless_it_may_still_be_on_its_way():
    sent = ENTERED.orders
    for order in sent.all:
        sent = sent.with_order(order._replace(state=OrderState.SENT, sent_at=at(41)))

    soon = unheard(sent, ENTERED.ledger, snapshot(41 + 4.9 / 60), LAW)
    later = unheard(sent, ENTERED.ledger, snapshot(41 + 5.1 / 60), LAW)

    assert soon == ()
    assert {report.event for report in later} == {OrderEvent.REJECTED}
    assert len(later) == 3


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        (snapshot(45, position=1, working=[TARGET_WORKS]), [FindingKind.STOP_MISSING]),
        (
            snapshot(45, position=1, working=[replace(STOP_WORKS, is_held=True)]),
            [FindingKind.STOP_MISSING],
        ),
        (
            snapshot(45, position=1, working=[replace(STOP_WORKS, quantity=2)]),
            [FindingKind.STOP_QUANTITY_DIFFERS],
        ),
        (
            snapshot(45, position=1, working=[replace(STOP_WORKS, price_ticks=PRICE - 20)]),
            [FindingKind.STOP_MISPLACED],
        ),
        (snapshot(45, position=2, working=[STOP_WORKS]), [FindingKind.POSITION_DIFFERS]),
        (snapshot(45, position=0), [FindingKind.POSITION_DIFFERS]),
        (
            snapshot(45, position=1, working=[STOP_WORKS, replace(STOP_WORKS, ref=None)]),
            [FindingKind.STRANGE_ORDER],
        ),
        (
            snapshot(
                45,
                position=1,
                working=[STOP_WORKS, working(ENTRY.ref, Side.LONG, PRICE, OrderKind.LIMIT)],
            ),
            [FindingKind.FILLED_ORDER_WORKS],
        ),
    ],
)
def test_each_difference_has_its_finding(truth, expected):
    assert kinds(HELD, truth) == expected


def test_an_order_without_a_trade_is_an_orphan():
    flat = HELD._replace(trade=None, ledger=Ledger())

    assert kinds(flat, snapshot(45, working=[STOP_WORKS])) == [FindingKind.ORPHANED_ORDER]


def test_only_the_listed_differences_are_repaired():
    repairable = {kind for kind in FindingKind if Finding(kind=kind, text="").is_repairable}

    assert repairable == {
        FindingKind.STOP_MISSING,
        FindingKind.STOP_MISPLACED,
        FindingKind.ORPHANED_ORDER,
    }


def test_a_decision_id_names_symbol_and_time():
    assert DecisionId("MES-1511") == ID
