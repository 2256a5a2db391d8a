"""The step on limits, levers and whatever must end the trading."""

from dataclasses import replace
from decimal import Decimal

import pytest
from desk_cases import connection, decisions, flattenings, kill_cause, kinds_of, person
from desk_stage import PRICE, account, at, fill, opened, row, setup, snapshot, told, working

from engine.broker import (
    CancelOrder,
    ConnectionState,
    FeedReported,
    FeedState,
    OrderEvent,
    OrderKind,
    PositionReported,
    QueryBroker,
)
from engine.desk import LoopFailed, OperatorVerb, SessionClosed
from engine.kill import KillCause, KillState
from engine.units import OrderRef, Side

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


def test_a_limit_of_the_week_still_halts_on_the_next_morning(stage):
    lost = replace(
        stage.state.risk, net_usd_this_week=Decimal(-65), net_usd_this_month=Decimal(-65)
    )
    stage.state = stage.state._replace(risk=lost)
    bracket = stage.hold(40, stop_ticks=6)
    stage.tell(fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks - 3, 44.5, name="x.2.01"))
    halted = stage.state.kill

    tomorrow, next_week = at(1440), at(6 * 1440)
    stage.tell(
        opened(at=tomorrow, session_date=tomorrow.date(), opens_at=tomorrow, closes_at=at(1830))
    )
    still = stage.state.kill
    stage.tell(
        opened(at=next_week, session_date=next_week.date(), opens_at=next_week, closes_at=at(9030))
    )

    assert (halted.state, halted.cause) == (KillState.HALTED, KillCause.WEEKLY_LOSS)
    assert still == halted
    assert stage.state.kill.is_running


def test_a_person_halts_and_resumes_with_a_reason(stage):
    stage.tell(person(OperatorVerb.HALT, 30), row(40, PRICE, setup()))
    refused = stage.tell(person(OperatorVerb.RESUME, 41, " "))
    stage.tell(person(OperatorVerb.RESUME, 42), row(43, PRICE, setup()))

    assert refused == []
    assert [fact.verb for fact in stage.facts("OperatorRefused")] == [OperatorVerb.RESUME]
    assert decisions(stage) == [("SKIP", "HALTED"), ("ENTER", None)]


@pytest.mark.parametrize("state", [None, FeedState.STALE, FeedState.COMPETING])
def test_a_halt_and_data_that_are_no_longer_live_end_the_entry_that_still_works(stage, state):
    stage.tell(FeedReported(at=at(1), state=FeedState.LIVE))
    bracket = stage.enter()
    said = person(OperatorVerb.HALT, 41.2)
    if state is not None:
        said = FeedReported(at=at(41.2), state=state, text="no bars")

    asked = stage.tell(said)
    again = stage.tell(said)

    assert asked == [CancelOrder(ref=bracket.entry_ref)]
    assert again == []


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


def test_a_filled_order_that_is_still_listed_is_asked_about_once_more_before_it_kills(stage):
    stop = _stopped_out(stage)

    asked = stage.tell(_listing(stop, stage, 45))
    before = kill_cause(stage)
    stage.tell(_listing(stop, stage, 45.1))

    assert asked == [QueryBroker(cause="a filled order works")]
    assert before is None
    assert kill_cause(stage) is KillCause.STATE_DESYNC


def test_fills_that_cross_a_question_now_and_then_leave_the_desk_running(stage):
    stop = _stopped_out(stage)

    stage.tell(_listing(stop, stage, 45))
    stage.tell(snapshot(45.1, executions=stage.state.ledger.executions))
    stage.tell(_listing(stop, stage, 60))

    assert kill_cause(stage) is None


def _stopped_out(stage):
    """The ref of a stop that was filled."""
    bracket = stage.hold()
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE - 7, 44, name="x.2.01"))
    return bracket.stop_ref


def _listing(stop, stage, minute):
    """The truth of a broker that listed its working orders before the stop was filled."""
    listed = working(stop, Side.SHORT, PRICE - 7, OrderKind.STOP_MARKET)
    return snapshot(minute, working=[listed], executions=stage.state.ledger.executions)


# ── Flat is the broker's word about one moment ──────────────────────────────────────────────────


def killed_and_seen_flat(stage, minute=5):
    stage.tell(person(OperatorVerb.KILL, minute))
    stage.tell(snapshot(minute + 0.02))
    assert stage.state.kill.is_flat_verified


def test_a_position_that_comes_after_a_verified_kill_takes_the_word_back_and_is_flattened(stage):
    killed_and_seen_flat(stage)

    stage.tell(snapshot(6, position=1))
    asked = stage.tell(snapshot(6.02, position=1))
    stage.tick(6.3)

    assert not stage.state.kill.is_flat_verified
    assert "FlattenPosition" in kinds_of(asked)
    assert len(stage.facts("AlertRaised")) == 2  # At once, and again as long as it lasts.


def test_a_second_kill_asks_the_broker_anew(stage):
    killed_and_seen_flat(stage)

    asked = stage.tell(person(OperatorVerb.KILL, 60, "again"))
    told_at_once = stage.facts("AlertRaised")
    verified = stage.state.kill.is_flat_verified
    stage.tell(snapshot(60.02))

    assert asked == [QueryBroker(cause="verify flat")]
    assert (told_at_once, verified) == ([], False)
    assert stage.state.kill.is_flat_verified
    assert stage.state.kill.text == "looked at it"


def test_what_else_is_in_the_account_is_neither_ours_nor_keeps_a_kill_from_being_flat(stage):
    shares = PositionReported(at=at(5), symbol="AAPL", quantity=100)

    def truth(minute, held):
        ours = PositionReported(at=at(minute), symbol="MES", quantity=held)
        return replace(snapshot(minute), positions=(shares, ours) if held else (shares,))

    stage.tell(truth(6, 1))
    stage.tell(truth(6.02, 1))
    adopted = stage.facts("PositionAdopted")
    (flatten,) = flattenings(stage.commands)
    stage.tell(fill(OrderRef(flatten), Side.SHORT, PRICE, 6.03))
    stage.tell(told(OrderRef(flatten), OrderEvent.FILLED, 6.03))
    stage.tell(truth(6.2, 0))

    assert [(each.expected, each.found) for each in adopted] == [(0, 1)]
    assert stage.state.position == 0
    assert stage.state.kill.is_flat_verified
