"""Levers without a session whose broker refuses us, hangs or is away: nothing given is lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event

import pytest
from lever_stage import SOON, kept_broker, lonely, pull, state_of
from session_stage import SessionStage, bars_of_session, simulated

from engine.broker import LiveBroker, PlaceBracket
from engine.desk import OperatorVerb
from engine.errors import BrokerMismatch, BrokerUnreachable, SettingsError
from engine.journal import Kind
from engine.kill import KillState
from engine.units import DecisionId, OrderRef, Side
from pipelines.brokers.unreachable import UnreachableBroker
from pipelines.session.inbox import LeverInbox, Outcome
from pipelines.session.levers import carry_through
from pipelines.session.process import write_json


class Raising(UnreachableBroker):
    """Connecting to it raises something that no retry cures."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("refused")
        self._error = error

    def connect(self) -> None:
        raise self._error


class Hanging(UnreachableBroker):
    """Connecting to it takes until it is closed, as a gateway that holds our client id may."""

    def __init__(self) -> None:
        super().__init__("hanging")
        self._is_closed = Event()

    def connect(self) -> None:
        self._is_closed.wait()
        raise BrokerUnreachable("closed meanwhile")

    def close(self) -> None:
        self._is_closed.set()


@pytest.fixture
def inbox(holding: SessionStage) -> LeverInbox:
    return LeverInbox(holding.files.levers)


def of_another_account(stage: SessionStage) -> LiveBroker:
    return simulated(account_id="U7654321", kept=stage.home / "exchange.json")


def mismatched(_stage: SessionStage) -> LiveBroker:
    return Raising(BrokerMismatch("expected a paper account (DU), got U7654321"))


@pytest.mark.parametrize("broker", [of_another_account, mismatched])
def test_a_kill_stands_though_the_broker_refuses_us_and_the_answer_says_not_known_flat(
    holding: SessionStage, inbox: LeverInbox, broker: Callable[[SessionStage], LiveBroker]
) -> None:
    answer, _ = pull(lonely(holding, lambda: broker(holding)), OperatorVerb.KILL)

    kill = state_of(holding).kill
    assert (kill.state, kill.is_flat_verified) == (KillState.KILLED, False)
    assert (answer.outcome, answer.is_final) == (Outcome.OBEYED, False)
    assert "KILLED, on disk, and the account is NOT known to be flat" in answer.text
    assert "U7654321" in answer.text
    assert "close by hand" in answer.text
    assert abs(kept_broker(holding).positions()[0].quantity) == 1
    assert not inbox.waiting()


def test_a_kill_stands_though_no_broker_can_be_made(holding: SessionStage) -> None:
    def none() -> LiveBroker:
        raise SettingsError("CREDENCE_IBKR_PORT: expected a number")

    answer, said = pull(lonely(holding, none), OperatorVerb.KILL, gives_up=lambda: True)

    assert state_of(holding).kill.is_killed
    assert (answer.outcome, answer.is_final) == (Outcome.OBEYED, False)
    assert any("CREDENCE_IBKR_PORT" in line for line in said)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("a bug")])
def test_a_kill_stands_whatever_strikes_while_the_broker_is_asked_for(
    holding: SessionStage, inbox: LeverInbox, error: BaseException
) -> None:
    desk = lonely(holding, lambda: Raising(error))
    said: list[str] = []

    with pytest.raises(type(error)):
        pull(desk, OperatorVerb.KILL, said=said)

    assert state_of(holding).kill.is_killed
    assert any("NOT known to be flat" in line for line in said)
    assert not inbox.waiting()


def test_a_kill_is_on_disk_before_the_broker_is_asked_for(holding: SessionStage) -> None:
    seen: list[bool] = []

    class Looking(UnreachableBroker):
        def connect(self) -> None:
            seen.append(any("triggered" in event.payload for event in holding.events(Kind.KILL)))
            super().connect()

    pull(lonely(holding, lambda: Looking("away")), OperatorVerb.KILL, gives_up=lambda: True)

    assert seen == [True]


def test_a_flatten_that_the_broker_refused_is_still_in_the_inbox(
    holding: SessionStage, inbox: LeverInbox
) -> None:
    with pytest.raises(BrokerMismatch):
        pull(lonely(holding, lambda: mismatched(holding)), OperatorVerb.FLATTEN)

    assert [command.verb for command in inbox.waiting()] == [OperatorVerb.FLATTEN]
    assert state_of(holding).kill.is_running


def test_a_flatten_does_not_expire_while_its_giver_waits_for_the_broker(
    holding: SessionStage, inbox: LeverInbox
) -> None:
    given = inbox.put(OperatorVerb.FLATTEN, by="ada", reason="")
    before_connecting = datetime.now(UTC) - timedelta(seconds=90)
    command = replace(given, given_at=before_connecting.isoformat())

    answer = carry_through(
        lonely(holding, lambda: kept_broker(holding)), command, say=lambda _line: None
    )

    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert not [each for each in kept_broker(holding).positions() if each.quantity]
    assert not inbox.waiting()


def after(looks: int, act: Callable[[], object], is_seen: Callable[[], bool]) -> Iterator[bool]:
    """Answers of `gives_up`: act at this look, and give up once it is seen, or after very many."""
    for look in count(1):
        if look == looks:
            act()
        yield look > looks and (is_seen() or look > 2000)


AWAY = [lambda: UnreachableBroker("the cable is out"), Hanging]


@pytest.mark.parametrize("broker", AWAY)
def test_a_kill_given_while_a_flatten_waits_for_the_broker_is_obeyed(
    holding: SessionStage, inbox: LeverInbox, broker: Callable[[], LiveBroker]
) -> None:
    given = []
    kill = lambda: given.append(inbox.put(OperatorVerb.KILL, by="bob", reason="all off"))  # noqa: E731
    looks = after(3, kill, lambda: inbox.answer_to(given[0].id) is not None)

    pull(lonely(holding, broker), OperatorVerb.FLATTEN, gives_up=lambda: next(looks))

    answer = inbox.answer_to(given[0].id)
    assert state_of(holding).kill.is_killed
    assert state_of(holding).kill.text == "all off"
    assert answer is not None
    assert answer.outcome is Outcome.OBEYED
    assert not inbox.waiting()


@pytest.mark.parametrize("broker", AWAY)
def test_the_kill_file_is_read_while_a_flatten_waits_for_the_broker(
    holding: SessionStage, broker: Callable[[], LiveBroker]
) -> None:
    lay = lambda: write_json(holding.files.kill_file, {"why": "the phone rang"})  # noqa: E731
    told = lambda: any("triggered" in event.payload for event in holding.events(Kind.KILL))  # noqa: E731
    looks = after(3, lay, told)

    pull(lonely(holding, broker), OperatorVerb.FLATTEN, gives_up=lambda: next(looks))

    assert "the phone rang" in state_of(holding).kill.text


def buy_by_hand(stage: SessionStage) -> None:
    """Somebody else's position, under orders of its own, in the account of a killed desk."""
    broker = kept_broker(stage)
    broker.connect()
    now, last = broker.now(), bars_of_session().row(SOON - 1, named=True)["close_ticks"]
    broker.place_bracket(
        PlaceBracket(
            decision_id=DecisionId("X-1"),
            symbol="MES",
            side=Side.LONG,
            quantity=1,
            entry_ref=OrderRef("hand/X-1/entry"),
            stop_ref=OrderRef("hand/X-1/stop"),
            target_ref=OrderRef("hand/X-1/target"),
            entry_limit_ticks=last + 40,
            stop_ticks=last - 400,
            target_ticks=last + 400,
            entry_expires_at=now + timedelta(hours=5),
        )
    )
    for _ in range(2):
        broker.wait(0.0)
        broker.told()
        broker.wait(0.0)
    assert [position.quantity for position in broker.positions()] == [1]


@pytest.mark.parametrize("verb", [OperatorVerb.FLATTEN, OperatorVerb.KILL])
def test_flat_is_never_the_word_of_an_earlier_kill(
    holding: SessionStage, verb: OperatorVerb
) -> None:
    desk = lonely(holding, lambda: kept_broker(holding))
    first, _ = pull(desk, OperatorVerb.KILL)
    verified = state_of(holding).kill.is_flat_verified
    buy_by_hand(holding)

    again, _ = pull(desk, verb)

    assert (first.outcome, verified) == (Outcome.FLAT, True)
    assert (again.outcome, again.is_final) == (Outcome.FLAT, True)
    assert not [each for each in kept_broker(holding).positions() if each.quantity]
    assert state_of(holding).kill.is_flat_verified
    assert state_of(holding).position == 0
