"""SIGKILL at any moment: the next run knows, sends nothing twice, leaves nothing unprotected."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from gateway_stage import (
    STRUCK_DOWN,
    SessionProcess,
    ibkr_broker,
    session_gateway,
    truth,
)
from replay_market import RULES
from session_stage import SessionStage, clock_after, entry_minute, simulated

from engine.broker import PlaceBracket, PlaceProtection
from engine.desk import Mode, OperatorVerb, fact_of
from engine.desk.facts import IntentRecorded
from engine.errors import SessionBusy
from engine.journal import Kind, Verified
from pipelines.journal_store import JournalReader
from pipelines.session.folding import folded
from pipelines.session.inbox import LeverInbox
from pipelines.session.plan import Ending

DEADLY = (
    "before:place_bracket",
    "after:place_bracket",
    "told:ExecutionReported",
    pytest.param("told:CommissionReported", marks=pytest.mark.campaign),
    "before:flatten",
    pytest.param("after:flatten", marks=pytest.mark.campaign),
)
ENDS = clock_after(20)

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(tmp_path):
    return SessionStage(tmp_path)


def intents(stage, *kinds):
    facts = [fact_of(event) for event in stage.events(Kind.INTENT)]
    return [
        fact
        for fact in facts
        if isinstance(fact, IntentRecorded) and isinstance(fact.command, kinds)
    ]


def refs_of_entries(stage):
    return Counter(fact.command.entry_ref for fact in intents(stage, PlaceBracket))


@pytest.mark.parametrize("dies_at", DEADLY)
def test_a_session_struck_down_is_taken_up_without_a_second_order(stage, dies_at):
    with session_gateway() as gateway:
        first = SessionProcess(stage.home, gateway, dies_at=dies_at)
        if "flatten" in dies_at:
            first.wait_for("filled: ")
            LeverInbox(stage.files.levers).put(OperatorVerb.FLATTEN, by="ada", reason="a test")
        struck, _ = first.wait()
        code, lines = SessionProcess(stage.home, gateway, stops_at=ENDS).wait()
        at_broker = truth(gateway)

    decided = Counter(event.at for event in stage.events(Kind.DECISION))
    state = folded(stage.files, Mode.PAPER, "MES", RULES)
    known = {fill.execution_id for fill in state.ledger.executions}
    completed = Counter(order.ref for order in at_broker.completed)
    assert (struck, code) == (STRUCK_DOWN, 0), lines
    assert max(refs_of_entries(stage).values()) == 1
    assert not [ref for ref, count in completed.items() if count > 1]
    assert set(decided.values()) == {1}
    assert len(decided) > entry_minute() + 15
    assert {fill.execution_id for fill in at_broker.executions} == known
    assert bool(at_broker.executions) is (dies_at != "before:place_bracket")
    assert (at_broker.positions, at_broker.working) == ((), ())
    assert (state.position, state.kill.is_running) == (0, True)
    assert isinstance(JournalReader(stage.journal).verify(), Verified)


def test_a_stop_that_vanished_while_nobody_watched_is_replaced_within_5_seconds(stage):
    with session_gateway() as gateway:
        SessionProcess(stage.home, gateway, dies_at="told:CommissionReported").wait()
        gateway.call(lambda each: each.venue.cancel_all())
        _, lines = SessionProcess(stage.home, gateway, stops_at="sending a stop").wait()

    protections = intents(stage, PlaceProtection)
    opened = [event for event in stage.events(Kind.SESSION) if "SessionOpened" in event.payload]
    back_at = datetime.fromisoformat(opened[-1].at)
    assert len(protections) == 1, lines
    assert protections[0].at - back_at < timedelta(seconds=5)


def test_a_second_session_is_refused_while_one_lives_and_not_after_it_was_killed(stage):
    with session_gateway() as gateway:
        living = SessionProcess(stage.home, gateway)
        living.wait_for("market data live")
        with pytest.raises(SessionBusy, match=f"pid {living.process.pid}"):
            stage.run(simulated())
        living.process.kill()
        living.wait()
        after = stage.made(ibkr_broker(gateway))
        stage.on_line = lambda line: after.stop() if "ET skip" in line else None
        result = after.run()

    assert result.ending is Ending.STOPPED
