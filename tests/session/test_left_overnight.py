"""A position that was left: the broker is asked for what became of it since it was opened."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from lever_stage import kept_broker, state_of
from session_stage import SessionStage

from engine.broker import ExecutionReported, QueryBroker
from pipelines.brokers.dispatch import carry_out, take_stock
from pipelines.brokers.simulated_live import SimulatedLiveBroker


class Asked:
    """A broker that remembers since when executions were asked for."""

    def __init__(self, broker: SimulatedLiveBroker) -> None:
        self._broker = broker
        self.since: list[datetime] = []

    def executions(self, since: datetime) -> Sequence[ExecutionReported]:
        self.since.append(since)
        return self._broker.executions(since)

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)


def test_executions_are_asked_for_since_what_is_open_was_opened(holding: SessionStage) -> None:
    broker, state = Asked(kept_broker(holding)), state_of(holding)
    (entry,) = state.ledger.executions
    days_later = entry.at + timedelta(days=3)

    take_stock(broker, days_later, state.unsettled_since)
    carry_out(broker, QueryBroker(cause="a test"), days_later, state.unsettled_since)

    assert state.unsettled_since is not None
    assert state.unsettled_since <= entry.at
    assert broker.since == [state.unsettled_since] * 2


def test_with_nothing_open_today_is_enough(holding: SessionStage) -> None:
    broker = Asked(kept_broker(holding))
    at = state_of(holding).ledger.executions[0].at

    take_stock(broker, at)
    take_stock(broker, at, at)

    assert broker.since == [at.replace(hour=0, minute=0, second=0, microsecond=0)] * 2
