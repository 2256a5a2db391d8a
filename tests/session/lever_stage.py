"""A stage for levers that are pulled without a session: a desk that holds, its exchange on disk."""

from collections.abc import Callable

from replay_market import RULES
from session_stage import SessionStage, entry_minute, session, simulated

from engine.broker import LiveBroker
from engine.desk import DeskState, OperatorVerb
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.session.folding import folded
from pipelines.session.inbox import LeverAnswer
from pipelines.session.levers import LeverDesk, pull_lever

SOON = entry_minute() + 20


def lonely(stage: SessionStage, broker: Callable[[], LiveBroker], **changes: object) -> LeverDesk:
    return LeverDesk(
        files=stage.files,
        rules=RULES,
        mode=stage.plan.mode,
        session=session(),
        broker=broker,
        **changes,  # type: ignore[arg-type]
    )


def pull(
    desk: LeverDesk,
    verb: OperatorVerb,
    reason: str = "a test",
    gives_up: Callable[[], bool] = lambda: False,
    said: list[str] | None = None,
) -> tuple[LeverAnswer, list[str]]:
    """The last word, and what was said before it."""
    said = [] if said is None else said
    answer = pull_lever(desk, verb, by="ada", reason=reason, say=said.append, gives_up=gives_up)
    return answer, said


def state_of(stage: SessionStage) -> DeskState:
    return folded(stage.files, stage.plan.mode, "MES", RULES)


def kept_broker(stage: SessionStage) -> SimulatedLiveBroker:
    """The broker of a holding stage, as its exchange was left on disk."""
    return simulated(minutes=SOON, kept=stage.home / "exchange.json")
