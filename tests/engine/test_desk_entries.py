"""The step on bars and entries: what is recorded, what is asked, what is sent."""

from decimal import Decimal

import pytest
from desk_cases import decisions, kill_cause, kinds_of
from desk_stage import PRICE, Stage, account, at, fill, opened, row, setup, snapshot, told, working

from engine.broker import CancelOrder, OrderEvent, OrderKind, PlaceBracket, QueryBroker
from engine.desk import CommandFailed, Recording, SessionClosed
from engine.errors import InputRefused
from engine.execution_quality import Trouble
from engine.kill import KillCause
from engine.risk import RiskState
from engine.trade import ExitKind, TradeState
from engine.units import Side

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


def test_an_entry_is_dropped_when_the_answer_has_to_be_looked_at_again(stage):
    stage.tell(row(40, PRICE, setup()))

    asked = stage.tell(snapshot(41.01, position=1))

    assert kinds_of(asked) == ["QueryBroker"]
    assert stage.state.kill.is_running
    assert stage.state.trade is None


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


def test_an_entry_that_outlives_its_life_is_cancelled_and_then_asked_about(stage):
    bracket = stage.enter()

    early = stage.tick(42.5)
    first = stage.tick(42.55)
    again = stage.tick(43.2)

    assert CancelOrder(ref=bracket.entry_ref) not in early
    assert CancelOrder(ref=bracket.entry_ref) in first
    assert CancelOrder(ref=bracket.entry_ref) not in again
    assert again == [QueryBroker(cause="an order is lost")]
