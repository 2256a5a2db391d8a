"""A person's levers: with a session alive, without one, and with a broker that is out of reach."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from lever_stage import SOON, kept_broker, lonely, pull, state_of
from session_stage import SessionStage, session, simulated

from engine.broker import LiveBroker, OrderKind
from engine.desk import OperatorVerb, fact_of
from engine.desk.facts import AlertRaised
from engine.errors import NotAuthorised
from engine.journal import Kind
from engine.kill import KillState
from engine.trade import ExitKind, TradeClosed
from pipelines.brokers.unreachable import UnreachableBroker
from pipelines.session.inbox import LeverInbox, Outcome
from pipelines.session.process import write_json

FILLED = "filled: "


@pytest.fixture
def stage(tmp_path):
    return SessionStage(tmp_path)


@pytest.fixture
def inbox(stage):
    return LeverInbox(stage.files.levers)


def once(line: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Act when a line is said for the first time."""
    acted: list[object] = []

    def hear(said: str) -> None:
        if line in said and not acted:
            acted.append(act())

    return hear


# ── Alive ───────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_flattens_a_living_session_and_keeps_it_down(stage, inbox):
    given = []
    kill = lambda: given.append(inbox.put(OperatorVerb.KILL, by="ada", reason="enough"))  # noqa: E731
    stage.on_line = once(FILLED, kill)

    result = stage.run(simulated(minutes=SOON))

    answer = inbox.answer_to(given[0].id)
    last = json.loads(stage.events(Kind.DECISION)[-1].payload)
    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert result.exits == {ExitKind.KILL: 1}
    assert result.state.kill.state is KillState.KILLED
    assert result.state.kill.is_flat_verified
    assert (result.state.position, last["reason"]) == (0, "KILL_SWITCH_ACTIVE")
    assert state_of(stage).kill.is_killed


def test_a_flatten_closes_the_trade_and_the_desk_goes_on(stage, inbox):
    given = []
    flatten = lambda: given.append(inbox.put(OperatorVerb.FLATTEN, by="ada", reason=""))  # noqa: E731
    stage.on_line = once(FILLED, flatten)

    result = stage.run(simulated(minutes=SOON))

    assert inbox.answer_to(given[0].id).outcome is Outcome.FLAT
    assert result.exits == {ExitKind.PERSON: 1}
    assert result.state.kill.is_running


def test_a_halt_is_answered_and_lifted_only_with_a_reason(stage, inbox):
    given = {}

    def hear(line: str) -> None:
        for clock, verb, reason in (
            ("09:40 ET", OperatorVerb.HALT, "lunch"),
            ("09:50 ET", OperatorVerb.RESUME, " "),
            ("10:00 ET", OperatorVerb.RESUME, "back"),
        ):
            if line.startswith(clock) and clock not in given:
                given[clock] = inbox.put(verb, by="ada", reason=reason)

    stage.on_line = hear
    stage.run(simulated(minutes=60))

    answers = [inbox.answer_to(command.id) for command in given.values()]
    assert [answer.outcome for answer in answers] == ["obeyed", "refused", "obeyed"]
    assert "needs a reason" in answers[1].text
    reasons = [json.loads(e.payload)["reason"] for e in stage.events(Kind.DECISION)]
    assert "HALTED" in reasons
    assert reasons[-1] != "HALTED"


def test_the_kill_file_kills_and_no_resume_outlives_it(stage, inbox):
    write_json(stage.files.kill_file, {"why": "the phone rang"})
    given = []
    resume = lambda: given.append(inbox.put(OperatorVerb.RESUME, by="ada", reason="ok"))  # noqa: E731
    stage.on_line = once("09:45 ET", resume)

    result = stage.run(simulated(minutes=30))

    answer = inbox.answer_to(given[0].id)
    assert result.state.kill.is_killed
    assert "the phone rang" in result.state.kill.text
    assert answer.outcome is Outcome.REFUSED
    assert "remove it first" in answer.text


def test_a_flatten_given_long_ago_is_refused_and_a_kill_is_not(stage, inbox):
    long_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    commands = [
        inbox.put(verb, by="ada", reason="") for verb in (OperatorVerb.FLATTEN, OperatorVerb.KILL)
    ]
    for command in commands:
        path = stage.files.levers / f"{command.id}.command"
        write_json(path, {**json.loads(path.read_bytes()), "given_at": long_ago})

    result = stage.run(simulated(minutes=5))

    outcomes = [inbox.answer_to(command.id).outcome for command in commands]
    assert outcomes == [Outcome.REFUSED, Outcome.FLAT]
    assert result.state.kill.is_killed


# ── Without a session ───────────────────────────────────────────────────────────────────────────


def test_without_a_session_a_kill_takes_the_lock_and_flattens_by_itself(holding):
    answer, said = pull(lonely(holding, lambda: kept_broker(holding)), OperatorVerb.KILL)

    state = state_of(holding)
    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert state.kill.is_killed
    assert state.kill.is_flat_verified
    assert state.position == 0
    assert not kept_broker(holding).positions()
    assert any("flattening" in line for line in said)
    assert not list(holding.files.levers.iterdir())


def test_without_a_session_halt_and_resume_need_no_broker(stage):
    def no_broker() -> LiveBroker:
        raise AssertionError("a halt asked for a broker")

    halted, _ = pull(lonely(stage, no_broker), OperatorVerb.HALT)
    after_halt = state_of(stage).kill.state
    refused, _ = pull(lonely(stage, no_broker), OperatorVerb.RESUME, reason="")
    resumed, _ = pull(lonely(stage, no_broker), OperatorVerb.RESUME)

    assert [halted.outcome, refused.outcome, resumed.outcome] == ["obeyed", "refused", "obeyed"]
    assert after_halt is KillState.HALTED
    assert state_of(stage).kill.is_running


def test_a_kill_with_the_broker_out_of_reach_stands_and_alerts_until_a_person_ends_it(holding):
    rounds = []

    def gives_up() -> bool:
        rounds.append(holding.events(Kind.ALERT))
        return len(rounds[-1]) >= 1

    minutes = (session().opens_at + timedelta(hours=3, minutes=each) for each in count())
    desk = lonely(holding, lambda: UnreachableBroker("the cable is out", lambda: next(minutes)))
    answer, said = pull(desk, OperatorVerb.KILL, gives_up=gives_up)

    state = state_of(holding)
    kinds = [order.kind for order in kept_broker(holding).open_orders()]
    assert (answer.outcome, answer.is_final) == (Outcome.OBEYED, False)
    assert state.kill.is_killed
    assert not state.kill.is_flat_verified
    assert isinstance(fact_of(rounds[-1][0]), AlertRaised)
    assert any("the cable is out" in line for line in said)
    assert kinds.count(OrderKind.STOP_MARKET) == 1


def test_a_desk_killed_out_of_reach_is_flat_once_the_broker_is_back_and_only_then_resumes(holding):
    away = lonely(holding, lambda: UnreachableBroker("the cable is out"))
    back = lonely(holding, lambda: kept_broker(holding))
    pull(away, OperatorVerb.KILL, gives_up=lambda: True)

    too_early, _ = pull(back, OperatorVerb.RESUME)
    flat, _ = pull(back, OperatorVerb.FLATTEN)
    resumed, _ = pull(back, OperatorVerb.RESUME)

    closed = [
        fact for fact in map(fact_of, holding.events(Kind.TRADE)) if type(fact) is TradeClosed
    ]
    assert too_early.outcome is Outcome.REFUSED
    assert "not seen flat" in too_early.text
    assert [flat.outcome, resumed.outcome] == [Outcome.FLAT, Outcome.OBEYED]
    assert [fact.exit_kind for fact in closed] == [ExitKind.KILL]


def test_a_paper_desk_sends_nothing_to_an_account_that_is_not_paper(holding):
    wrong = lambda: simulated(account_id="U7654321", kept=holding.home / "exchange.json")  # noqa: E731

    with pytest.raises(NotAuthorised, match="U7654321"):
        pull(lonely(holding, wrong), OperatorVerb.FLATTEN)

    assert abs(kept_broker(holding).positions()[0].quantity) == 1


def test_a_kill_of_a_desk_that_never_had_a_session_holds_too(stage):
    answer, _ = pull(lonely(stage, simulated), OperatorVerb.KILL)

    result = stage.run(simulated(minutes=5))

    assert answer.outcome is Outcome.FLAT
    assert result.state.kill.is_killed
    assert set(result.reasons) == {"KILL_SWITCH_ACTIVE"}


def test_the_command_of_a_person_who_left_is_obeyed_by_the_next_session(stage, inbox):
    command = inbox.put(OperatorVerb.HALT, by="ada", reason="before I go")

    result = stage.run(simulated(minutes=5))

    assert inbox.answer_to(command.id).outcome is Outcome.OBEYED
    assert replace(result.state.kill, since=None).text == "before I go"
