"""What the desk knows of itself, and how each fact changes it: the fold of the journal."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from engine.broker import AccountReported, ExecutionReported, FeedReported, FeedState
from engine.desk.facts import SessionOpened
from engine.execution_quality import ExecutionQuality
from engine.kill import KillSwitch
from engine.ledger import Ledger, lots_of
from engine.risk import RiskState
from engine.strategies.protocol import TemplateSummary
from engine.supervisor import Orders
from engine.trade import Trade
from engine.units import DecisionId

DVS_LEVEL_BEST: Final = 3
"""The score is good enough to enter; see `DataQualityChanged`."""


class OpenQuery(NamedTuple):
    """A question to the broker that has not been answered."""

    at: datetime
    cause: str


class DeskState(NamedTuple):
    """Everything that past events decide about future ones; the market is not in it.

    A NamedTuple, because every closed bar makes a new one. `ended_trade` is the session's last
    trade, kept for a late fill or commission. `bars_before` counts earlier sessions' minutes.
    `feed` is null until somebody tells of one, which a replay never does.
    """

    last_bar_at: datetime | None = None
    session: SessionOpened | None = None
    bars_before: int = 0
    kill: KillSwitch = KillSwitch()
    risk: RiskState = RiskState()
    account: AccountReported | None = None
    quality: ExecutionQuality = ExecutionQuality()
    dvs_level: int = DVS_LEVEL_BEST
    orders: Orders = Orders()
    ledger: Ledger = Ledger()
    trade: Trade | None = None
    ended_trade: Trade | None = None
    summaries: Mapping[str, TemplateSummary] = MappingProxyType({})
    down_since: datetime | None = None
    query: OpenQuery | None = None
    reconciled_at: datetime | None = None
    differs_since: datetime | None = None
    unprotected_since: datetime | None = None
    alerted_at: datetime | None = None
    feed: FeedReported | None = None

    @property
    def position(self) -> int:
        """Signed contracts held, as far as executions and the broker have told."""
        return self.ledger.position

    @property
    def is_feed_live(self) -> bool:
        """Whether nothing is known against entering on the market data."""
        return self.feed is None or self.feed.state is FeedState.LIVE

    @property
    def is_exposed(self) -> bool:
        """Whether something is held, or may come to be held by an order that is alive."""
        return self.position != 0 or bool(self.orders.live)

    @property
    def unsettled_since(self) -> datetime | None:
        """Since when something of the books is open: the first execution or live order in them.

        Before the session that opened where a position was carried into it; null with none.
        """
        fills = (fill.at for fill in self.ledger.executions)
        return min((*fills, *(order.sent_at for order in self.orders.live)), default=None)

    def fills_of_trade(self, decision_id: DecisionId) -> tuple[ExecutionReported, ...]:
        """Executions that make a trade's result.

        Its own; where they do not end flat, another hand had a part in it: then all uncounted ones.
        """
        fills = self.ledger.fills_of(order.ref for order in self.orders.of(decision_id))
        return fills if lots_of(fills) == 0 else self.ledger.uncounted

    def bar_number(self, at: datetime) -> int:
        """The number of the bar that is running at an instant, over all sessions of the journal."""
        minute = 0 if self.session is None else self.session.minute_at(at)
        return self.bars_before + minute


EMPTY: Final = DeskState()
"""The desk before its first event."""
