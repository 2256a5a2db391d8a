"""The step on fills and exits: a trade is opened once, closed once, and its result is booked."""

from decimal import Decimal

import pytest
from desk_cases import decisions, flattenings, kill_cause, kinds_of, person
from desk_stage import PRICE, at, fill, row, setup, snapshot, told, working

from engine.broker import CommissionReported, FlattenPosition, OrderEvent, OrderKind, ReplaceStop
from engine.desk import OperatorVerb
from engine.execution_quality import Trouble
from engine.orders import OrderState
from engine.trade import ExitKind, TradeState
from engine.units import Side

# ── Fills ───────────────────────────────────────────────────────────────────────────────────────


def test_a_fill_opens_the_trade_once_however_often_it_is_told(stage):
    bracket = stage.hold()

    stage.tell(fill(bracket.entry_ref, Side.LONG, PRICE + 1, 41.1))

    assert stage.state.position == 1
    assert len(stage.state.risk.entered_at) == 1
    assert stage.state.trade.state is TradeState.OPEN


def test_a_fill_may_come_before_its_acknowledgement(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]

    stage.tell(fill(bracket.entry_ref, Side.LONG, PRICE + 1, 41.02))
    stage.tell(told(bracket.entry_ref, OrderEvent.ACCEPTED, 41.03))

    assert stage.state.trade.state is TradeState.OPEN
    assert stage.state.orders.find(bracket.entry_ref).state is OrderState.FILLED


def test_a_fill_after_the_cancel_brings_the_trade_back(stage):
    bracket = stage.enter()
    refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)
    stage.tell(told(refs[0], OrderEvent.CANCELLED, 42))
    assert stage.state.trade is None

    stage.tell(fill(bracket.entry_ref, Side.LONG, PRICE + 1, 42.1))

    assert stage.state.trade.state is TradeState.OPEN
    assert stage.state.position == 1
    assert kill_cause(stage) is None
    stage.tell(person(OperatorVerb.FLATTEN, 43))
    stage.tell(fill(stage.commands[-1].ref, Side.SHORT, PRICE - 4, 43.1, name="y.1.01"))
    closed = [(each.exit_kind, each.net_usd) for each in stage.facts("TradeClosed")]
    assert closed == [
        (ExitKind.NEVER_FILLED, Decimal(0)),
        (ExitKind.PERSON, Decimal("-7.49")),
    ]


@pytest.mark.parametrize(
    ("leg", "price", "kind", "net"),
    [
        ("stop_ref", PRICE - 7, ExitKind.STOP, "-11.24"),
        ("target_ref", PRICE + 13, ExitKind.TARGET, "13.76"),
    ],
)
def test_the_bracket_closes_the_trade_and_its_result_is_booked(stage, leg, price, kind, net):
    bracket = stage.hold()

    stage.tell(fill(getattr(bracket, leg), Side.SHORT, price, 44.5, name="x.2.01"))

    closed = stage.facts("TradeClosed")[0]
    assert (closed.exit_kind, closed.net_usd) == (kind, Decimal(net))
    assert stage.state.risk.net_usd_today == Decimal(net)
    assert stage.state.trade is None
    assert stage.state.summaries["K1"].trades == 1


def test_a_stop_that_was_moved_closes_as_a_protected_stop(stage):
    bracket = stage.hold()

    asked = stage.tell(row(41, PRICE + 9))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE + 3, 42.5, name="x.2.01"))

    assert asked == [ReplaceStop(ref=bracket.stop_ref, stop_ticks=PRICE + 3)]
    assert decisions(stage)[-1] == ("MODIFY", "profit_protection")
    assert stage.facts("TradeClosed")[0].exit_kind is ExitKind.PROTECTED_STOP


def test_a_commission_that_comes_late_corrects_the_result(stage):
    bracket = stage.hold()
    stage.tell(fill(bracket.target_ref, Side.SHORT, PRICE + 13, 44.5, name="x.2.01"))
    before = stage.state.risk.net_usd_today

    for name in ("x.1.01", "x.2.01", "x.2.01"):
        stage.tell(CommissionReported(at=at(45), execution_id=name, commission_usd=Decimal("0.70")))

    assert stage.state.risk.net_usd_today == before - 2 * Decimal("0.08")


def test_a_slow_fill_and_a_surprising_price_cost_execution_quality(stage):
    bracket = stage.enter()
    stage.tell(fill(bracket.entry_ref, Side.LONG, PRICE + 1, 42.1))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE - 9, 44.5, name="x.2.01"))

    troubles = [fact.trouble for fact in stage.facts("TroubleNoted")]

    assert troubles == [Trouble.SLOW_FILL, Trouble.SLIPPAGE]


def test_a_partial_fill_costs_execution_quality_once(stage):
    bracket = stage.enter()

    stage.tell(
        told(bracket.entry_ref, OrderEvent.PARTIALLY_FILLED, 41.2),
        told(bracket.entry_ref, OrderEvent.PARTIALLY_FILLED, 41.3),
    )

    assert [fact.trouble for fact in stage.facts("TroubleNoted")] == [Trouble.PARTIAL]


# ── Exits ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bar", "kind"),
    [
        (row(384), ExitKind.FLATTEN_TIME),
        (row(45, f1_long=0.2), ExitKind.THESIS),
        (row(45, f1_short=0.9), ExitKind.OPPOSITE_BELIEF),
        (row(72), ExitKind.TIME_STOP),
        (row(45, dvs=0.5), ExitKind.QUALITY),
        (row(45, dvs=0.2), ExitKind.KILL),
    ],
)
def test_a_bar_that_asks_for_the_exit_flattens_and_names_it(stage, bar, kind):
    bracket = stage.hold()

    asked = stage.tell(bar)
    flatten = next(command for command in asked if isinstance(command, FlattenPosition))
    minute = bar.minute + 1.5
    stage.tell(
        told(bracket.stop_ref, OrderEvent.CANCELLED, minute),
        fill(flatten.ref, Side.SHORT, PRICE, minute, name="x.2.01"),
    )

    assert decisions(stage)[-1] == ("EXIT", kind.value)
    assert stage.facts("TradeClosed")[0].exit_kind is kind
    assert stage.state.position == 0


def test_a_flattening_nothing_is_heard_of_is_asked_about_and_sent_again_once_it_is_gone(stage):
    bracket = stage.hold()

    first = stage.tell(row(45, f1_long=0.2))
    at_once = stage.tick(46.1)
    later = stage.tick(46.2)
    stop = working(bracket.stop_ref, Side.SHORT, bracket.stop_ticks, OrderKind.STOP_MARKET)
    absent = snapshot(46.25, position=1, working=[stop])
    told_absent = stage.tell(absent)
    at_last = stage.tick(46.5)

    assert flattenings([*first, *at_once, *later]) == ["2024-03-05/MES-1511/flatten"]
    assert "QueryBroker" in kinds_of([*at_once, *later])
    assert flattenings([*told_absent, *at_last]) == ["2024-03-05/MES-1511/flatten-2"]


def test_a_flattening_that_works_at_the_broker_is_never_sent_beside_another(stage):
    stage.hold()
    [flatten] = flattenings(stage.tell(row(45, f1_long=0.2)))

    works = working(flatten, Side.SHORT, 0, OrderKind.MARKET)

    asked = []
    for minute in (46.2, 46.5, 46.8):
        asked += stage.tick(minute)
        asked += stage.tell(snapshot(minute + 0.01, position=1, working=[works]))

    assert flattenings(asked) == []
    assert kinds_of(asked).count("QueryBroker") == 3


def test_a_person_closes_the_trade_without_a_kill(stage):
    bracket = stage.hold()

    asked = stage.tell(person(OperatorVerb.FLATTEN, 45))
    stage.tell(
        told(bracket.stop_ref, OrderEvent.CANCELLED, 45.1),
        fill(asked[0].ref, Side.SHORT, PRICE, 45.1, name="x.2.01"),
    )

    assert stage.facts("TradeClosed")[0].exit_kind is ExitKind.PERSON
    assert stage.state.kill.is_running
