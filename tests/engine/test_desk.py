"""The step: what is recorded, what is asked, and a state that is the fold of its journal."""

import json
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from desk_stage import (
    PRICE,
    RULES,
    Stage,
    account,
    at,
    fill,
    opened,
    row,
    setup,
    snapshot,
    told,
    working,
)

from engine.broker import (
    CancelOrder,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    FlattenPosition,
    OrderEvent,
    OrderKind,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    QueryBroker,
    ReplaceStop,
)
from engine.desk import (
    EMPTY,
    CommandFailed,
    DeskState,
    LoopFailed,
    OperatorCommanded,
    OperatorVerb,
    Recording,
    SessionClosed,
    apply,
    fact_of,
    fold,
)
from engine.errors import InputRefused
from engine.execution_quality import Trouble
from engine.kill import KillCause, KillState
from engine.orders import OrderState
from engine.risk import RiskState
from engine.trade import ExitKind, TradeState
from engine.units import OrderRef, Side


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.open_session()
    return stage


def person(verb: OperatorVerb, minute: float, reason: str = "looked at it") -> OperatorCommanded:
    return OperatorCommanded(at=at(minute), verb=verb, by="ada", reason=reason)


def connection(state: ConnectionState, minute: float) -> ConnectionReported:
    return ConnectionReported(at=at(minute), state=state)


def decisions(stage: Stage) -> list[tuple[str, str | None]]:
    """Action and reason (or cause, where the trade acted) of every decision."""
    told = [json.loads(entry.payload) for entry in stage.entries if entry.kind == "decision"]
    return [(d["action"], d["cause"] or d["reason"]) for d in told]


def kinds_of(commands: list[Any]) -> list[str]:
    return [type(command).__name__ for command in commands]


def flattenings(commands: list[Any]) -> list[str]:
    return [command.ref for command in commands if isinstance(command, FlattenPosition)]


def kill_cause(stage: Stage) -> KillCause | None:
    return stage.state.kill.cause if stage.state.kill.is_killed else None


# ── Bars ────────────────────────────────────────────────────────────────────────────────────────


def test_a_quiet_bar_leaves_its_bar_and_one_decision(stage):
    before = len(stage.entries)

    stage.tell(row(40))

    assert stage.kinds()[before:] == ["bar", "decision"]
    assert decisions(stage) == [("SKIP", "BELIEF_TOO_LOW")]


def test_a_bar_told_twice_or_out_of_order_leaves_no_second_decision(stage):
    stage.tell(row(40), row(40), row(39), row(41))

    assert len(decisions(stage)) == 2


def test_every_bar_has_exactly_one_decision_whatever_happens(stage):
    bracket = stage.hold(40)
    stage.tell(*(row(minute) for minute in range(41, 60)))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks, 60.5, name="x.2.01"))
    stage.tell(row(60), row(61, dvs=0.1), row(62))

    bars = [entry.at for entry in stage.entries if entry.kind == "bar"]
    decided = [entry.at for entry in stage.entries if entry.kind == "decision"]
    assert bars == decided
    assert len(set(bars)) == len(bars) == 23


def test_a_bar_before_its_session_is_refused():
    with pytest.raises(InputRefused, match="open the session first"):
        Stage().tell(row(40))


def test_recording_trades_leaves_out_quiet_bars_and_keeps_the_others():
    stage = Stage()
    stage.tell(opened(recording=Recording.TRADES), account(), snapshot(0.01))
    before = len(stage.entries)

    stage.tell(row(38), row(39, dvs=0.7))
    quiet = len(stage.entries) - before
    stage.hold(40)
    stage.tell(row(41))

    assert quiet == 0
    assert decisions(stage) == [("ENTER", None), ("HOLD", "open")]


def test_the_data_quality_of_a_full_journal_is_told_when_it_crosses_a_gate(stage):
    stage.tell(row(40), row(41, dvs=0.79), row(42, dvs=0.7), row(43, dvs=0.59), row(44))

    assert [fact.level for fact in stage.facts("DataQualityChanged")] == [2, 1, 3]


# ── Entering ────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_asks_the_broker_first_and_is_sent_after_a_clean_answer(stage):
    first = stage.tell(row(40, PRICE, setup()))
    second = stage.tell(snapshot(41.01))

    assert first == [QueryBroker(cause="before entry")]
    bracket = second[0]
    assert isinstance(bracket, PlaceBracket)
    assert (bracket.entry_limit_ticks, bracket.stop_ticks, bracket.target_ticks) == (
        PRICE + 1,
        PRICE - 7,
        PRICE + 13,
    )
    assert stage.state.trade.state is TradeState.PENDING


def test_the_intent_is_in_the_journal_before_the_command_leaves_the_desk(stage):
    stage.enter()

    intents = [fact.command for fact in stage.facts("IntentRecorded")]

    assert intents == stage.commands


def test_an_entry_is_dropped_when_the_answer_is_not_clean(stage):
    stage.tell(row(40, PRICE, setup()))

    strange = working(None, Side.LONG, PRICE, OrderKind.LIMIT)
    asked = stage.tell(snapshot(41.01, working=[strange]))

    assert "PlaceBracket" not in kinds_of(asked)
    assert stage.state.trade is None
    assert kill_cause(stage) is KillCause.STATE_DESYNC


def test_an_entry_is_dropped_when_no_answer_comes(stage):
    stage.tell(row(40, PRICE, setup()))

    stage.tell(CommandFailed(at=at(41.05), refs=(), text="no answer"))
    stage.tick(41.1)
    still_waiting = stage.state.trade
    stage.tick(41.2)

    assert still_waiting is not None
    assert stage.state.trade is None
    assert [fact.exit_kind for fact in stage.facts("TradeClosed")] == [ExitKind.NEVER_FILLED]


def test_unknown_equity_is_no_entry():
    stage = Stage()
    stage.open_session(equity=None)

    stage.tell(row(40, PRICE, setup()))

    assert decisions(stage) == [("SKIP", "TEMPLATE_NOT_ALLOWED_BY_TIER")]


def test_the_equity_of_yesterday_is_not_known_today(stage):
    stage.tell(SessionClosed(at=at(395), position=0, equity_usd=Decimal(5000)))

    later = opened(at=at(1440), session_date=at(1440).date(), opens_at=at(1440), closes_at=at(1830))
    stage.tell(later)

    assert stage.state.account is None


def test_an_entry_that_expires_never_was_a_trade(stage):
    bracket = stage.enter()

    refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)
    stage.tell(told(refs[0], OrderEvent.EXPIRED, 42.5))
    stage.tell(*(told(ref, OrderEvent.CANCELLED, 42.5) for ref in refs[1:]))

    assert stage.state.trade is None
    assert stage.state.risk == RiskState(session_date=stage.state.risk.session_date)
    assert [fact.exit_kind for fact in stage.facts("TradeClosed")] == [ExitKind.NEVER_FILLED]


def test_a_rejected_bracket_is_one_trouble(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]

    refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)
    stage.tell(*(told(ref, OrderEvent.REJECTED, 41.02) for ref in refs))

    assert [fact.trouble for fact in stage.facts("TroubleNoted")] == [Trouble.REJECT]
    assert stage.state.trade is None


def test_an_entry_that_outlives_its_life_is_cancelled_and_asked_again(stage):
    bracket = stage.enter()

    early = stage.tick(42.5)
    first = stage.tick(42.55)
    again = stage.tick(43.2)

    assert CancelOrder(ref=bracket.entry_ref) not in early
    assert CancelOrder(ref=bracket.entry_ref) in first
    assert CancelOrder(ref=bracket.entry_ref) in again


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


# ── Limits and levers ───────────────────────────────────────────────────────────────────────────


def test_a_realised_loss_at_the_limit_halts_until_its_period_is_over(stage):
    stage.state = stage.state._replace(risk=replace(stage.state.risk, net_usd_today=Decimal(-20)))
    bracket = stage.hold(40, stop_ticks=6)
    stage.tell(fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks - 3, 44.5, name="x.2.01"))
    halted = stage.state.kill
    stage.tell(row(45))

    tomorrow = at(1440)
    stage.tell(
        opened(at=tomorrow, session_date=tomorrow.date(), opens_at=tomorrow, closes_at=at(1830))
    )

    assert (halted.state, halted.cause) == (KillState.HALTED, KillCause.DAILY_LOSS)
    assert decisions(stage)[-1] == ("SKIP", "HALTED")
    assert stage.state.kill.is_running


def test_a_person_halts_and_resumes_with_a_reason(stage):
    stage.tell(person(OperatorVerb.HALT, 30), row(40, PRICE, setup()))
    refused = stage.tell(person(OperatorVerb.RESUME, 41, " "))
    stage.tell(person(OperatorVerb.RESUME, 42), row(43, PRICE, setup()))

    assert refused == []
    assert [fact.verb for fact in stage.facts("OperatorRefused")] == [OperatorVerb.RESUME]
    assert decisions(stage) == [("SKIP", "HALTED"), ("ENTER", None)]


def test_a_halted_desk_manages_its_trade_to_the_end(stage):
    stage.hold()
    stage.tell(person(OperatorVerb.HALT, 42), row(42))

    stage.tell(row(45, f1_long=0.2))

    assert decisions(stage)[-2:] == [("HOLD", "open"), ("EXIT", "thesis")]


def test_a_killed_desk_stays_down_until_flat_is_verified_and_a_person_resumes(stage):
    bracket = stage.hold()

    asked = stage.tell(person(OperatorVerb.KILL, 45))
    too_early = stage.tell(person(OperatorVerb.RESUME, 45.01))
    flatten = asked[0]
    stage.tell(
        told(bracket.stop_ref, OrderEvent.CANCELLED, 45.1),
        told(bracket.target_ref, OrderEvent.CANCELLED, 45.1),
        fill(flatten.ref, Side.SHORT, PRICE, 45.1, name="x.2.01"),
    )
    verified_before = stage.state.kill.is_flat_verified
    stage.wake()
    stage.tell(snapshot(45.2, executions=stage.state.ledger.executions))
    stage.tell(row(46, PRICE, setup()))
    stage.tell(person(OperatorVerb.RESUME, 47.1))

    assert too_early == []
    assert not verified_before
    assert decisions(stage)[-1] == ("SKIP", "KILL_SWITCH_ACTIVE")
    assert stage.state.kill.is_running


def test_a_killed_desk_that_is_not_seen_flat_flattens_and_alerts_again_and_again(stage):
    stage.hold()
    stage.tell(person(OperatorVerb.KILL, 45))

    asked = []
    for minute in (45.2, 45.4, 45.6):
        asked += stage.tick(minute)
        asked += stage.tell(snapshot(minute + 0.05, position=1))

    assert len(set(flattenings(asked))) == len(flattenings(asked)) == 3
    assert len(stage.facts("AlertRaised")) == 3


def test_a_killed_desk_that_gets_no_answer_asks_and_alerts_and_sends_no_second_flattening(stage):
    stage.hold()
    first = stage.tell(person(OperatorVerb.KILL, 45))

    asked = [command for minute in (45.2, 45.4, 45.6) for command in stage.tick(minute)]

    assert len(flattenings(first)) == 1
    assert flattenings(asked) == []
    assert kinds_of(asked).count("QueryBroker") == 3
    assert len(stage.facts("AlertRaised")) == 3


# ── Kill triggers ───────────────────────────────────────────────────────────────────────────────


def test_a_margin_call_kills(stage):
    stage.tell(account("5000", "-1", 30))

    assert kill_cause(stage) is KillCause.MARGIN_CALL


def test_data_too_bad_kills_even_a_flat_desk(stage):
    stage.tell(row(40, dvs=0.29))

    assert kill_cause(stage) is KillCause.DATA_QUALITY
    assert decisions(stage) == [("SKIP", "KILL_SWITCH_ACTIVE")]


def test_execution_too_bad_kills(stage):
    for n in range(3):
        stage.tell(
            connection(ConnectionState.DOWN, 30 + n), connection(ConnectionState.UP, 30.5 + n)
        )
    stage.tell(snapshot(33), row(33))

    assert kill_cause(stage) is KillCause.EXECUTION_QUALITY


def test_an_exception_in_the_loop_kills(stage):
    stage.tell(LoopFailed(at=at(30), text="KeyError: 'close'"))

    assert kill_cause(stage) is KillCause.UNHANDLED_EXCEPTION


def test_a_connection_lost_with_a_position_open_kills_after_its_policy_and_flattens_when_back(
    stage,
):
    stage.hold()
    stage.tell(connection(ConnectionState.DOWN, 45))
    before = (kill_cause(stage), stage.tick(46))

    down = stage.tick(46.1)
    back = stage.tell(connection(ConnectionState.UP, 47))

    assert before[0] is None
    assert "FlattenPosition" not in kinds_of(before[1] + down)
    assert kill_cause(stage) is KillCause.CONNECTION_LOST
    assert "FlattenPosition" in kinds_of(back)


def test_a_lost_connection_does_not_kill_a_flat_desk(stage):
    stage.tell(connection(ConnectionState.DOWN, 45))
    stage.tick(60)

    assert kill_cause(stage) is None


def test_an_order_that_stays_unknown_kills(stage):
    bracket = stage.enter()
    stage.tell(told(bracket.entry_ref, OrderEvent.LOST_TRACK, 41.2))
    asked = stage.commands[-1]

    stage.tick(41.7)
    before = kill_cause(stage)
    stage.tick(41.8)

    assert asked == QueryBroker(cause="an order is lost")
    assert before is None
    assert kill_cause(stage) is KillCause.UNKNOWN_ORDER


def test_a_position_nobody_opened_kills_and_is_flattened(stage):
    held = PositionReported(at=at(30), symbol="MES", quantity=1)
    first = stage.tell(held)
    second = stage.tell(snapshot(30.01, position=1))
    third = stage.tell(snapshot(30.02, position=1))

    assert first == [QueryBroker(cause="the position differs")]
    assert second == [QueryBroker(cause="the position differs")]
    assert kill_cause(stage) is KillCause.UNEXPECTED_POSITION
    assert stage.state.position == 1
    assert "FlattenPosition" in kinds_of(third)


def test_an_execution_of_another_hand_kills(stage):
    stage.tell(fill(OrderRef(""), Side.LONG, PRICE, 30))

    assert kill_cause(stage) is KillCause.UNEXPECTED_POSITION


def test_two_contracts_are_a_breach_of_the_constitution(stage):
    bracket = stage.hold()

    stage.tell(fill(bracket.entry_ref, Side.LONG, PRICE, 42, name="x.9.01"))

    assert kill_cause(stage) is KillCause.CONSTITUTION_BREACH


def test_stop_and_target_both_filled_kill(stage):
    bracket = stage.hold()

    stage.tell(
        fill(bracket.stop_ref, Side.SHORT, PRICE - 7, 44, name="x.2.01"),
        fill(bracket.target_ref, Side.SHORT, PRICE + 13, 44, name="x.3.01"),
    )

    assert stage.state.position == -1
    assert kill_cause(stage) is KillCause.UNEXPECTED_POSITION


def test_a_session_that_ends_with_a_position_is_a_breach(stage):
    stage.hold()

    stage.tell(SessionClosed(at=at(395), position=1, equity_usd=Decimal(5000)))

    assert kill_cause(stage) is KillCause.CONSTITUTION_BREACH


# ── Protection ──────────────────────────────────────────────────────────────────────────────────


def test_a_missing_stop_is_put_back_once_the_broker_confirms_it(stage):
    bracket = stage.hold()

    asked = stage.tell(told(bracket.stop_ref, OrderEvent.CANCELLED, 42))
    repaired = stage.tell(snapshot(42.01, position=1, executions=stage.state.ledger.executions))

    assert asked == [QueryBroker(cause="no stop is alive")]
    protection = repaired[0]
    assert isinstance(protection, PlaceProtection)
    assert (protection.stop_ref, protection.stop_ticks) == (
        "2024-03-05/MES-1511/stop-2",
        bracket.stop_ticks,
    )
    assert stage.state.unprotected_since is None


def test_a_position_without_a_stop_for_too_long_kills(stage):
    bracket = stage.hold()
    stage.tell(told(bracket.stop_ref, OrderEvent.CANCELLED, 42))

    stage.tick(42 + 5 / 60)
    before = kill_cause(stage)
    asked = stage.tick(42 + 5.1 / 60)

    assert before is None
    assert kill_cause(stage) is KillCause.UNPROTECTED_POSITION
    assert "FlattenPosition" in kinds_of(asked)


def test_a_stop_at_another_price_is_moved_to_where_it_belongs(stage):
    bracket = stage.hold()
    wrong = working(bracket.stop_ref, Side.SHORT, PRICE - 30, OrderKind.STOP_MARKET)

    asked = stage.tell(
        snapshot(45, position=1, working=[wrong], executions=stage.state.ledger.executions)
    )

    assert ReplaceStop(ref=bracket.stop_ref, stop_ticks=bracket.stop_ticks) in asked


def test_an_orphaned_child_is_cancelled(stage):
    bracket = stage.hold()
    stage.tell(fill(bracket.target_ref, Side.SHORT, PRICE + 13, 44, name="x.2.01"))
    orphan = working(bracket.stop_ref, Side.SHORT, PRICE - 7, OrderKind.STOP_MARKET)

    asked = stage.tell(snapshot(45, working=[orphan], executions=stage.state.ledger.executions))

    assert asked == [CancelOrder(ref=bracket.stop_ref)]
    assert kill_cause(stage) is None


def test_while_something_is_open_the_broker_is_asked_every_thirty_seconds(stage):
    stage.hold()

    asked = {minute: kinds_of(stage.tick(minute)) for minute in (41.4, 41.52)}

    assert asked == {41.4: [], 41.52: ["QueryBroker"]}


def test_a_question_without_an_answer_is_asked_again_by_a_desk_that_believes_it_is_flat(stage):
    stage.tell(PositionReported(at=at(30), symbol="MES", quantity=1))
    assert not stage.state.is_exposed

    asked = {minute: stage.tick(minute) for minute in (30.1, 30.2, 30.3, 30.4)}

    again = [QueryBroker(cause="the position differs")]
    assert asked == {30.1: [], 30.2: again, 30.3: [], 30.4: again}


def test_a_flat_desk_leaves_no_trace_of_the_clock_until_it_is_time_to_look(stage):
    stage.tell(snapshot(47))
    before = len(stage.entries)

    asked = {minute: stage.tick(minute) for minute in (50, 51.9)}

    assert asked == {50: [], 51.9: []}
    assert len(stage.entries) == before


def test_a_desk_that_believes_it_is_flat_looks_every_five_minutes_of_the_session(stage):
    stage.tell(snapshot(47))

    asked = {minute: stage.tick(minute) for minute in (52, 52.1)}
    stage.tell(snapshot(52.1))
    late = stage.tick(391)

    assert asked == {52: [QueryBroker(cause="routine")], 52.1: []}
    assert late == []


def test_a_position_whose_report_was_lost_is_found_by_a_flat_desk(stage):
    strange = fill("hand-1", Side.LONG, PRICE, 20, name="x.9.01")

    asked = stage.tick(20.1)
    found = stage.tell(snapshot(20.11, position=1, executions=[strange]))

    assert asked == [QueryBroker(cause="routine")]
    assert kill_cause(stage) is KillCause.UNEXPECTED_POSITION
    assert "FlattenPosition" in kinds_of(found)


def test_the_connection_coming_back_is_followed_by_a_question(stage):
    stage.tell(connection(ConnectionState.DOWN, 30))

    asked = stage.tell(connection(ConnectionState.UP, 31))

    assert asked == [QueryBroker(cause="reconnected")]


def test_an_order_never_acknowledged_is_lost_and_asked_for(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]

    asked = stage.tick(41.6)

    assert stage.state.orders.find(bracket.entry_ref).state is OrderState.UNKNOWN
    assert QueryBroker(cause="routine") in asked


def test_what_surely_never_left_is_not_waited_for(stage):
    stage.tell(row(40, PRICE, setup()))
    bracket = stage.tell(snapshot(41.01))[0]
    refs = (bracket.entry_ref, bracket.stop_ref, bracket.target_ref)

    stage.tell(CommandFailed(at=at(41.02), refs=refs, text="the link is down"))

    assert stage.state.trade is None
    assert not stage.state.is_exposed


# ── The fold ────────────────────────────────────────────────────────────────────────────────────


def eventful() -> Stage:
    """A session with most of what can happen, ending in a kill and a resume."""
    stage = Stage()
    stage.open_session()
    stage.tell(row(39), row(40, dvs=0.7))
    bracket = stage.hold(41)
    stage.tell(row(42, PRICE + 9), row(43, PRICE + 6))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE + 3, 44.5, name="x.2.01"))
    stage.tell(
        told(bracket.target_ref, OrderEvent.CANCELLED, 44.5),
        CommissionReported(at=at(44.6), execution_id="x.1.01", commission_usd=Decimal("0.6")),
        account("4999.50", "4999.50", 44.7),
        connection(ConnectionState.DOWN, 60),
        connection(ConnectionState.UP, 61),
        snapshot(61.1, executions=stage.state.ledger.executions),
        *(row(minute) for minute in range(62, 330)),
    )
    second = stage.enter(330, -1)
    stage.tell(told(second.stop_ref, OrderEvent.CANCELLED, 331.2))
    stage.tell(fill(second.entry_ref, Side.SHORT, PRICE, 331.3, name="x.3.01"))
    stage.tick(331.5)
    stage.tick(331.9)
    stage.tell(SessionClosed(at=at(395), position=-1, equity_usd=Decimal(5000)))
    return stage


EVENTFUL = eventful()


def test_the_state_is_the_fold_of_the_journal_at_every_input():
    facts = [fact_of(event) for event in EVENTFUL.events()]

    for entries, live in EVENTFUL.states:
        assert fold(facts[:entries], RULES) == live


def test_the_fold_is_associative_over_restarts():
    facts = [fact_of(event) for event in EVENTFUL.events()]
    whole = fold(facts, RULES)

    for cut in range(0, len(facts), 17):
        assert fold(facts[cut:], RULES, fold(facts[:cut], RULES)) == whole


def test_a_fold_that_forgets_one_fact_is_another_state():
    facts = [fact_of(event) for event in EVENTFUL.events()]
    without_a_fill = [f for f in facts if getattr(f, "execution_id", "") != "x.3.01"]

    planted = reduce(
        lambda state, fact: state if fact is None else _or_same(state, fact), without_a_fill, EMPTY
    )

    assert planted != EVENTFUL.state


def _or_same(state: DeskState, fact: Any) -> DeskState:
    try:
        return apply(state, fact, RULES)
    except Exception:  # noqa: BLE001 - The planted gap may make later facts impossible.
        return state


def test_a_desk_woken_from_its_journal_goes_on_as_if_it_had_never_slept():
    awake, sleepy = Stage(), Stage()
    for stage in (awake, sleepy):
        stage.open_session()
    inputs = [
        row(40, PRICE, setup()),
        snapshot(41.01),
        told(OrderRef("2024-03-05/MES-1511/entry"), OrderEvent.ACCEPTED, 41.02),
        fill(OrderRef("2024-03-05/MES-1511/entry"), Side.LONG, PRICE + 1, 41.1),
        row(41),
        row(42, PRICE + 9),
        fill(OrderRef("2024-03-05/MES-1511/stop"), Side.SHORT, PRICE + 3, 43.5, name="x.2.01"),
        row(43),
    ]

    for happened in inputs:
        awake.tell(happened)
        sleepy.wake()
        sleepy.tell(happened)

    assert sleepy.events() == awake.events()
    assert sleepy.commands == awake.commands
