"""How a session ends before its time: an interrupt, an error of its own, a broker that is gone."""

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from session_stage import SessionStage, entry_minute, session, simulated

from engine.broker import BarReported, FeedReported, FeedState
from engine.desk import LoopFailed, Mode, fact_of
from engine.errors import BrokerTimeout, BrokerUnreachable, HaltDesk, JournalError, RetryLater
from engine.journal import Kind
from engine.kill import KillCause
from engine.trade import ExitKind
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.plan import Ending, StopPolicy
from pipelines.storage.atomic import storage_full

SOON = entry_minute() + 20
FILLED = "filled: "


class Interrupted(BaseException):
    """What Dagster raises in the main thread when a person terminates a run."""


class Wrapped:
    """A broker that goes wrong where a test says so."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


@pytest.fixture
def stage(tmp_path):
    return SessionStage(tmp_path)


def raise_once(line: str, error: BaseException):
    raised: list[BaseException] = []

    def hear(said: str) -> None:
        if line in said and not raised:
            raised.append(error)
            raise error

    return hear


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, Interrupted])
def test_an_interrupt_flattens_is_journalled_and_is_raised_again(stage, interrupt):
    run = stage.made(simulated(minutes=SOON))
    run._interrupts = (*run._interrupts, Interrupted)
    stage.on_line = raise_once(FILLED, interrupt())

    with pytest.raises(interrupt):
        run.run()

    trades = [json.loads(event.payload) for event in stage.events(Kind.TRADE)]
    kinds = [each["exit_kind"] for each in trades if each["fact"] == "TradeClosed"]
    beat = Heartbeat.read(stage.files.heartbeat)
    assert kinds == [ExitKind.PERSON]
    assert (beat.run, beat.position) == (RunState.STOPPED, 0)
    assert not stage.files.holder.exists()


def test_a_protected_position_is_left_when_the_policy_says_so(stage):
    broker = simulated(minutes=SOON)
    run = stage.made(broker, stop_policy=StopPolicy.LEAVE_PROTECTED)
    stage.on_line = lambda line: run.stop() if FILLED in line else None

    result = run.run()

    assert abs(result.state.position) == 1
    assert [order.price_ticks is not None for order in broker.open_orders()] == [True, True]
    assert any("the position stays" in line for line in stage.lines)


def test_a_listener_that_fails_does_not_end_the_session(stage):
    stage.on_line = raise_once("09:35 ET", ValueError("the log is full"))

    with pytest.raises(ValueError, match="the log is full"):
        stage.run(simulated(minutes=30))

    assert len(stage.events(Kind.DECISION)) == 30
    assert "SessionClosed" in stage.events(Kind.SESSION)[-1].payload


class FailsOnceInPosition(Wrapped):
    """Raises something nobody foresaw after the first fill."""

    has_failed = False

    def told(self) -> Sequence[object]:
        told = self._broker.told()
        held = any(position.quantity for position in self._broker.positions())
        if held and not self.has_failed:
            self.has_failed = True
            raise ZeroDivisionError("a bug")
        return told


def test_an_unforeseen_error_kills_flattens_and_is_raised_again(stage):
    broker = FailsOnceInPosition(simulated(minutes=SOON))

    with pytest.raises(ZeroDivisionError, match="a bug"):
        stage.run(broker)

    failed = [fact for fact in map(fact_of, stage.events(Kind.ERROR)) if type(fact) is LoopFailed]
    kill = [json.loads(event.payload) for event in stage.events(Kind.KILL)]
    beat = Heartbeat.read(stage.files.heartbeat)
    assert [fact.text for fact in failed] == ["ZeroDivisionError: a bug"]
    assert [each.get("cause") for each in kill] == [KillCause.UNHANDLED_EXCEPTION, None]
    assert kill[-1]["fact"] == "FlatVerified"
    assert (beat.run, beat.desk, beat.position) == (RunState.FAILED, "killed", 0)
    assert not broker.positions()


class Unanswering(Wrapped):
    """Answers no query at the start."""

    error: RetryLater = BrokerTimeout("no answer")
    asked = 0

    def positions(self) -> Sequence[object]:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize("error", [BrokerTimeout("no answer"), BrokerUnreachable("no line")])
def test_a_desk_that_cannot_learn_where_it_stands_does_not_start(stage, error):
    broker = Unanswering(simulated())
    broker.error = error

    with pytest.raises(type(error)):
        stage.run(broker)

    assert 2 <= broker.asked <= 4
    assert not stage.events(Kind.DECISION)
    assert not stage.events(Kind.KILL)


class LosesBracket(Wrapped):
    """Says that a bracket got no answer, though it arrived."""

    def place_bracket(self, intent: object) -> None:
        self._broker.place_bracket(intent)
        raise BrokerTimeout("no answer to the bracket")


class RefusesBracket(Wrapped):
    """Is out of reach whenever a bracket is sent."""

    def place_bracket(self, intent: object) -> None:
        raise BrokerUnreachable("the line is down")


def test_an_order_that_was_not_answered_is_asked_for_and_never_sent_again(stage):
    result = stage.run(LosesBracket(simulated(minutes=SOON)))

    events = [json.loads(event.payload) for event in stage.events(Kind.ORDER)]
    brackets = [e for e in stage.events(Kind.INTENT) if '"PlaceBracket"' in e.payload]
    assert len(brackets) == 1
    assert events[0]["event"] == "lost_track"
    assert sum(result.exits.values()) == 1


def test_an_order_that_surely_never_left_ends_the_trade(stage):
    result = stage.run(RefusesBracket(simulated(minutes=SOON)))

    assert result.exits == {ExitKind.NEVER_FILLED: 1}
    assert not stage.events(Kind.EXECUTION)


class TellsLate(Wrapped):
    """Keeps the bars of three minutes back and tells them with the fourth."""

    held: tuple[object, ...] = ()
    holds_from = session().opens_at + timedelta(minutes=entry_minute() - 2)

    def told(self) -> Sequence[object]:
        told = [*self.held, *self._broker.told()]
        late = self._broker.now() - self.holds_from
        self.held = ()
        if timedelta(minutes=1) <= late < timedelta(minutes=5):
            self.held = tuple(each for each in told if isinstance(each, BarReported))
            return [each for each in told if not isinstance(each, BarReported)]
        return told


def test_bars_that_come_late_are_decided_in_order_and_never_entered(stage):
    result = stage.run(TellsLate(simulated(minutes=SOON)))

    decided = [event.at for event in stage.events(Kind.DECISION)]
    reasons = [json.loads(event.payload)["reason"] for event in stage.events(Kind.DECISION)]
    feeds = [fact for fact in map(fact_of, stage.events()) if isinstance(fact, FeedReported)]
    assert len(decided) == SOON == len(set(decided))
    assert decided == sorted(decided)
    assert reasons[entry_minute()] == "FEED_NOT_LIVE"
    assert feeds[-1].state is FeedState.LIVE
    assert "ENTER" not in result.actions


class BreaksDisk(Wrapped):
    """Fills the disk under the journal, or another file, once a position is held."""

    def __init__(self, broker: Any, error: Exception | None = None) -> None:
        super().__init__(broker)
        self._error = error or JournalError("the disk is full")

    def told(self) -> Sequence[object]:
        told = self._broker.told()
        if self._broker.positions():
            raise self._error
        return told


def test_without_a_journal_nothing_more_is_sent_and_the_stop_stays(stage):
    broker = BreaksDisk(simulated(minutes=SOON))

    with pytest.raises(JournalError, match="the disk is full"):
        stage.run(broker)

    assert abs(broker.positions()[0].quantity) == 1
    assert len(broker.open_orders()) == 2


def test_a_full_disk_ends_the_run_and_kills_nothing(stage):
    folder = stage.files.bars(Mode.PAPER, "MES", session().session_date)
    folder.mkdir(parents=True)
    told = folder / "told.jsonl"
    told.symlink_to("/dev/full")

    with pytest.raises(HaltDesk, match="free some space, and the next run goes on"):
        stage.made(simulated(minutes=SOON)).run()
    after_full = stage.events()
    told.unlink()
    result = stage.made(simulated(minutes=SOON)).run()

    assert [event.kind for event in after_full if event.kind in (Kind.KILL, Kind.ERROR)] == []
    assert result.ending is Ending.CLOSED


def test_a_store_that_is_full_ends_the_run_with_the_stop_in_place_and_kills_nothing(stage):
    full = storage_full(stage.files.heartbeat, "No space left on device")
    broker = BreaksDisk(simulated(minutes=SOON), full)

    with pytest.raises(HaltDesk, match="the stop at the broker protects"):
        stage.run(broker)

    assert [event.kind for event in stage.events() if event.kind in (Kind.KILL, Kind.ERROR)] == []
    assert abs(broker.positions()[0].quantity) == 1
    assert len(broker.open_orders()) == 2


def test_a_heartbeat_that_cannot_be_written_ends_no_session(stage):
    stage.files.heartbeat.parent.mkdir(parents=True, exist_ok=True)
    aside = stage.files.heartbeat.with_name(f".{stage.files.heartbeat.name}.{os.getpid()}")
    aside.symlink_to("/dev/full")

    result = stage.made(simulated(minutes=SOON)).run()

    assert result.ending is Ending.CLOSED
    assert any("the heartbeat could not be written" in line for line in stage.lines)
