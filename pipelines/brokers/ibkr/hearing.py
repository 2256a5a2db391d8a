"""Where every message of the gateway goes: to the link, the questions, and whom it concerns."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from engine.broker import BrokerReport, MarketReport
from pipelines.brokers.ibkr.known_orders import KnownOrders
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.market_clock import MarketClock
from pipelines.brokers.ibkr.market_watch import MarketWatch
from pipelines.brokers.ibkr.messages import (
    CommissionTold,
    ErrorTold,
    ExecutionTold,
    Message,
    OrderTold,
    PositionTold,
    StatusTold,
    TimeTold,
)
from pipelines.brokers.ibkr.positions import HeldPositions
from pipelines.brokers.ibkr.questions import Questions

FILL_AFTER_STATUS_SECONDS: Final = 0.5
"""How long an execution may come after the status that speaks of it before it is asked for."""


class Hearing:
    """Sorts messages, and tells the reports that come of them."""

    def __init__(
        self,
        link: Link,
        questions: Questions,
        orders: KnownOrders,
        positions: HeldPositions,
        market: MarketWatch,
        clock: MarketClock,
        tell: Callable[[Iterable[BrokerReport | MarketReport]], None],
    ) -> None:
        self._link = link
        self._questions = questions
        self._orders = orders
        self._positions = positions
        self._market = market
        self._clock = clock
        self._tell = tell
        self._is_fetching = False

    def hear(self, message: Message) -> None:
        """Sort one message; raises what the translation of it raises."""
        self._link.on_message(message)
        self._questions.on_message(message)
        self._orders.is_silent = self._link.is_reading_in
        if isinstance(message, TimeTold):
            self._clock.answered(message.at)
        elif isinstance(message, ExecutionTold):
            self._clock.told(message.at)
        self._tell(self._reports_of(message))
        if isinstance(message, PositionTold | OrderTold | CommissionTold):
            return
        self._market.on_message(message)
        self._fetch_missed_fills()

    def _reports_of(self, message: Message) -> list[BrokerReport]:
        """What a message about orders, executions or positions comes to."""
        now = self._clock.now()
        match message:
            case OrderTold():
                return self._orders.on_order(message, now)
            case StatusTold():
                return self._orders.on_status(message, now)
            case ExecutionTold():
                return self._orders.on_execution(message, now)
            case CommissionTold():
                return self._orders.on_commission(message, now)
            case ErrorTold():
                return self._orders.on_error(message, now)
            case PositionTold() if message.account == self._link.account:
                is_news = not self._link.is_reading_in
                return [*self._positions.on_position(message, now)] if is_news else []
            case _:
                return []

    def _fetch_missed_fills(self) -> None:
        if self._orders.is_short_of_fills and self._link.is_up and not self._is_fetching:
            self._is_fetching = True
            self._link.start(self._missed_fills())

    async def _missed_fills(self) -> None:
        """A status spoke of fills that do not come: the answer tells them as it comes in."""
        try:
            await asyncio.sleep(FILL_AFTER_STATUS_SECONDS)
            if self._orders.is_short_of_fills:
                await self._questions.executions(self._clock.now())
        finally:
            self._is_fetching = False
