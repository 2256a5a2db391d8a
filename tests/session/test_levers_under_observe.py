"""Levers of a desk that only watches: its shadow is flattened, the account is left as it was."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from lever_stage import SOON, lonely, pull, state_of
from session_stage import EXCHANGE, SessionStage, bars_of_session, entry_minute, session, simulated

from engine.desk import Mode, OperatorVerb
from engine.journal import Kind
from engine.units import Side
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.session.inbox import Outcome
from pipelines.session.plan import SessionPlan, StopPolicy

REAL = "U7654321"


@pytest.fixture
def stage(tmp_path: Path) -> SessionStage:
    stage = SessionStage(tmp_path, plan=SessionPlan(mode=Mode.OBSERVE, session=session()))
    kept, price = KeptExchange(EXCHANGE, account_of(stage)), bars_of_session()["close_ticks"][0]
    kept.exchange.open_alien_position(Side.LONG, 1, price, session().opens_at)
    kept.keep(session().opens_at)
    return stage


def account_of(stage: SessionStage) -> Path:
    """The books of the real account, in which a person holds a contract bought by hand."""
    return stage.home / "account.json"


def real_broker(stage: SessionStage) -> SimulatedLiveBroker:
    at = session().opens_at + timedelta(minutes=entry_minute() + 5)
    return simulated(minutes=SOON, starts_at=at, account_id=REAL, kept=account_of(stage))


def books_of(stage: SessionStage) -> tuple[Sequence[object], ...]:
    """Quantities, orders and executions of the account, as its exchange was left on disk."""
    truth = KeptExchange(EXCHANGE, account_of(stage)).exchange.truth(session().closes_at)
    quantities = [position.quantity for position in truth.positions]
    return quantities, truth.working, truth.completed, truth.executions


def shadow_of(stage: SessionStage) -> list[int]:
    truth = KeptExchange(EXCHANGE, stage.files.shadow("MES")).exchange.truth(session().closes_at)
    return [position.quantity for position in truth.positions if position.quantity]


def hold_a_shadow(stage: SessionStage) -> None:
    """Watch until a shadow trade is filled, and stop there."""
    run = stage.made(simulated(minutes=SOON), stop_policy=StopPolicy.LEAVE_PROTECTED)
    stage.on_line = lambda line: run.stop() if "filled: " in line else None
    assert abs(run.run().state.position) == 1


def told_of_kill(stage: SessionStage) -> bool:
    return any("triggered" in event.payload for event in stage.events(Kind.KILL))


@pytest.mark.parametrize("verb", [OperatorVerb.KILL, OperatorVerb.FLATTEN])
def test_a_lever_flattens_the_shadow_and_leaves_the_account_alone(
    stage: SessionStage, verb: OperatorVerb
) -> None:
    hold_a_shadow(stage)
    held, books = shadow_of(stage), books_of(stage)

    answer, _ = pull(lonely(stage, lambda: real_broker(stage)), verb)

    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert [abs(quantity) for quantity in held] == [1]
    assert shadow_of(stage) == []
    assert state_of(stage).position == 0
    assert told_of_kill(stage) == (verb is OperatorVerb.KILL)
    assert books_of(stage) == books
    assert books[0] == [1]


def test_a_kill_of_a_desk_that_never_watched_leaves_what_a_person_holds(
    stage: SessionStage,
) -> None:
    books = books_of(stage)

    answer, _ = pull(lonely(stage, lambda: real_broker(stage)), OperatorVerb.KILL)

    assert (answer.outcome, answer.is_final) == (Outcome.FLAT, True)
    assert state_of(stage).kill.is_flat_verified
    assert told_of_kill(stage)
    assert books_of(stage) == books
    assert books[0] == [1]
