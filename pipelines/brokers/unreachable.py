"""The broker of a process that talks to none."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from engine.broker import (
    AccountReported,
    BarReported,
    BrokerReport,
    CancelOrder,
    CompletedOrder,
    ExecutionReported,
    FlattenPosition,
    MarketReport,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    ReplaceStop,
    WorkingOrder,
)
from engine.errors import BrokerUnreachable


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class UnreachableBroker:
    """A `LiveBroker` that cannot be reached: every verb raises `BrokerUnreachable` and says why."""

    def __init__(self, why: str, clock: Callable[[], datetime] | None = None) -> None:
        self._why = why
        self._clock = clock or _wall_clock

    @property
    def account_id(self) -> str:
        return ""

    def now(self) -> datetime:
        return self._clock()

    def connect(self) -> None:
        self._refuse()

    def close(self) -> None:
        """There is nothing to close."""

    def subscribe(self, symbol: str) -> None:  # noqa: ARG002
        self._refuse()

    def bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:  # noqa: ARG002
        self._refuse()

    def told(self) -> Sequence[BrokerReport | MarketReport]:
        return ()

    def reports(self) -> Sequence[BrokerReport]:
        return ()

    def wait(self, timeout_seconds: float) -> bool:  # noqa: ARG002
        return False

    def caught_up(self) -> None:
        """Nothing was told."""

    def account(self) -> AccountReported:
        self._refuse()

    def positions(self) -> Sequence[PositionReported]:
        self._refuse()

    def open_orders(self) -> Sequence[WorkingOrder]:
        self._refuse()

    def executions(self, since: datetime) -> Sequence[ExecutionReported]:  # noqa: ARG002
        self._refuse()

    def completed_orders(self) -> Sequence[CompletedOrder]:
        self._refuse()

    def place_bracket(self, intent: PlaceBracket) -> None:  # noqa: ARG002
        self._refuse()

    def place_protection(self, intent: PlaceProtection) -> None:  # noqa: ARG002
        self._refuse()

    def replace(self, change: ReplaceStop) -> None:  # noqa: ARG002
        self._refuse()

    def cancel(self, cancel: CancelOrder) -> None:  # noqa: ARG002
        self._refuse()

    def flatten(self, flatten: FlattenPosition) -> None:  # noqa: ARG002
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise BrokerUnreachable(f"{self._why}: nothing was sent and nothing was asked")
