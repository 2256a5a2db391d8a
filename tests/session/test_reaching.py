"""A broker that is out of reach when a run starts: waited for, with every lever within reach."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from lever_stage import kept_broker, state_of
from session_stage import SessionStage, session, simulated

from engine.desk import OperatorVerb
from engine.errors import BrokerUnreachable, ClientIdInUse, NotAuthorised
from engine.journal import Kind
from engine.kill import KillState
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.inbox import LeverInbox, Outcome
from pipelines.session.plan import Ending

WAITING = "waiting for the broker"


class Late:
    """A broker that refuses connections until it is there; nothing reaches it before."""

    error: BrokerUnreachable = BrokerUnreachable("127.0.0.1:4002: connection refused")

    def __init__(self, broker: Any, *, refusals: int) -> None:
        self._broker = broker
        self._refusals = refusals
        self._is_connected = False

    def connect(self) -> None:
        self._refusals -= 1
        if self._refusals >= 0:
            raise self.error
        self._is_connected = True
        self._broker.connect()

    def __getattr__(self, name: str) -> Any:
        if not self._is_connected and name not in ("now", "account_id", "close"):
            raise self.error
        return getattr(self._broker, name)


NEVER = 10**6


def first(words: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Act when a line with these words is said for the first time."""
    acted: list[object] = []

    def hear(line: str) -> None:
        if words in line and not acted:
            acted.append(act())

    return hear


@pytest.mark.parametrize(
    "error", [Late.error, ClientIdInUse("client id 1 is in use (326)")], ids=["refused", "326"]
)
def test_a_run_whose_gateway_is_late_trades_the_session_all_the_same(
    tmp_path: Any, error: BrokerUnreachable
) -> None:
    stage = SessionStage(tmp_path)
    broker = Late(simulated(minutes=20), refusals=2)
    broker.error = error
    beats: list[Heartbeat | None] = []
    stage.on_line = first(f"{WAITING}, 2 attempts", lambda: _beaten(stage, beats))

    result = stage.run(broker)

    assert (result.ending, sum(result.actions.values())) == (Ending.CLOSED, 20)
    assert len([line for line in stage.lines if WAITING in line and str(error) in line]) == 2
    assert beats[0] is not None
    assert beats[0].run is RunState.WAITING


def _beaten(stage: SessionStage, beats: list[Heartbeat | None]) -> None:
    beats.append(Heartbeat.read(stage.files.heartbeat))


def test_a_position_left_by_a_run_is_managed_to_its_end_once_the_gateway_is_back(
    holding: SessionStage,
) -> None:
    result = holding.run(Late(kept_broker(holding), refusals=2))

    assert result.ending is Ending.CLOSED
    assert result.state.position == 0
    assert sum(result.exits.values()) == 1
    assert not kept_broker(holding).positions()


def test_a_kill_pulled_while_the_run_waits_is_on_disk_at_once_and_the_run_waits_on(
    holding: SessionStage,
) -> None:
    inbox, given, seen = LeverInbox(holding.files.levers), [], []

    def hear(line: str) -> None:
        if WAITING in line and not given:
            given.append(inbox.put(OperatorVerb.KILL, by="ada", reason="enough"))
        if "the desk is killed" in line:
            seen.append((state_of(holding).kill.state, inbox.answer_to(given[0].id).outcome))  # type: ignore[union-attr]
            run.stop()

    run = holding.made(Late(kept_broker(holding), refusals=NEVER))
    holding.on_line = hear
    result = run.run()

    assert seen == [(KillState.KILLED, Outcome.OBEYED)]
    assert result.ending is Ending.STOPPED
    assert (result.state.kill.state, result.state.kill.is_flat_verified) == (
        KillState.KILLED,
        False,
    )
    assert abs(kept_broker(holding).positions()[0].quantity) == 1


def test_a_kill_pulled_while_the_run_waits_is_seen_through_once_the_gateway_is_back(
    holding: SessionStage,
) -> None:
    inbox, given = LeverInbox(holding.files.levers), []
    broker = Late(kept_broker(holding), refusals=NEVER)
    kill = first(
        WAITING, lambda: given.append(inbox.put(OperatorVerb.KILL, by="ada", reason="enough"))
    )

    def hear(line: str) -> None:
        kill(line)
        if "the desk is killed" in line:
            broker._refusals = 0

    holding.on_line = hear
    result = holding.run(broker)

    answer = inbox.answer_to(given[0].id)
    assert answer is not None
    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert result.state.kill.is_flat_verified
    assert not kept_broker(holding).positions()


def test_an_interrupt_ends_the_waiting_and_is_raised_again(tmp_path: Any) -> None:
    stage = SessionStage(tmp_path)

    def strike(line: str) -> None:
        if WAITING in line:
            raise KeyboardInterrupt

    stage.on_line = strike

    with pytest.raises(KeyboardInterrupt):
        stage.run(Late(simulated(), refusals=NEVER))

    beat = Heartbeat.read(stage.files.heartbeat)
    assert beat is not None
    assert beat.run is RunState.STOPPED
    assert not stage.events(Kind.SESSION)


@pytest.mark.parametrize("hours", [-25, 7])
def test_a_broker_out_of_reach_is_not_waited_for_outside_of_the_session(
    tmp_path: Any, hours: int
) -> None:
    stage = SessionStage(tmp_path)
    at = session().opens_at + timedelta(hours=hours)

    with pytest.raises(BrokerUnreachable, match="connection refused"):
        stage.run(Late(simulated(starts_at=at), refusals=NEVER))

    assert not [line for line in stage.lines if WAITING in line]


def test_a_broker_that_refuses_us_is_not_waited_for(tmp_path: Any) -> None:
    stage = SessionStage(tmp_path)

    with pytest.raises(NotAuthorised):
        stage.run(simulated(account_id="U7654321"))

    assert not stage.events()
