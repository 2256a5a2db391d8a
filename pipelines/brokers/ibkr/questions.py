"""Questions to the broker and their whole answers; each is an answer or an error, never a part.

An answer is collected from what the gateway tells until it says that this was all. Questions of
one kind have no id of their own at IB, so they are asked one after the other.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeGuard

from engine.broker import (
    AccountReported,
    CompletedOrder,
    ExecutionReported,
    OrderEvent,
    PositionReported,
    WorkingOrder,
)
from engine.instrument import Instrument
from engine.orders import OrderState
from pipelines.brokers.ibkr.client_library import execution_filter, future_family, listed_contract
from pipelines.brokers.ibkr.known_orders import ENDED, INACTIVE, KnownOrders
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.market_clock import MarketClock
from pipelines.brokers.ibkr.messages import (
    NO_REQUEST,
    ExecutionTold,
    ListedContract,
    Message,
    OrderTold,
    PositionTold,
    StatusTold,
)

EQUITY: Final = "NetLiquidation"
FUNDS: Final = "AvailableFunds"
NOT_WORKING: Final = frozenset({*ENDED, INACTIVE, "Filled"})

_EVENTS: Final = {
    OrderState.FILLED: OrderEvent.FILLED,
    OrderState.CANCELLED: OrderEvent.CANCELLED,
    OrderState.REJECTED: OrderEvent.REJECTED,
    OrderState.EXPIRED: OrderEvent.EXPIRED,
}
_COMPLETED: Final = {"Filled": OrderEvent.FILLED, "Inactive": OrderEvent.REJECTED}


class Questions:
    """What can be asked at one link; every method raises `BrokerUnreachable` or `BrokerTimeout`."""

    def __init__(
        self, link: Link, orders: KnownOrders, instrument: Instrument, clock: MarketClock
    ) -> None:
        self._link = link
        self._orders = orders
        self._instrument = instrument
        self._clock = clock
        self._turn = asyncio.Lock()
        self._heard: list[Message] = []

    def on_message(self, message: Message) -> None:
        """Collect what may belong to the answer that is waited for."""
        if self._turn.locked():
            self._heard.append(message)

    async def account(self) -> AccountReported:
        """Equity and available funds in the instrument's currency; null for what was not said."""
        async with self._turn:
            summary = await self._link.ask(_summary, "the account")
            values = {
                value.tag: value.value
                for value in summary
                if value.account == self._link.account
                and value.currency == self._instrument.currency
            }
        return AccountReported(
            at=self._clock.now(),
            equity_usd=_money(values.get(EQUITY)),
            available_funds_usd=_money(values.get(FUNDS)),
        )

    async def positions(self) -> Sequence[PositionTold]:
        """Every contract held in the account, none with a quantity of 0."""
        async with self._turn:
            self._heard.clear()
            await self._link.ask(lambda client: client.reqPositionsAsync(), "positions")
            told = {
                message.con_id: message
                for message in self._heard
                if isinstance(message, PositionTold) and message.account == self._link.account
            }
        return [position for position in told.values() if position.quantity]

    async def position_reports(self) -> Sequence[PositionReported]:
        """Positions as the port has them: one for each contract held, under its root symbol."""
        held = await self.positions()
        at = self._clock.now()
        return [PositionReported(at=at, symbol=p.symbol, quantity=p.quantity) for p in held]

    async def open_orders(self) -> Sequence[tuple[OrderTold, WorkingOrder]]:
        """Every working order of the account, whoever placed it, as told and as the port has it."""
        async with self._turn:
            self._heard.clear()
            await self._link.ask(lambda client: client.reqAllOpenOrdersAsync(), "open orders")
            heard = list(self._heard)
        statuses = {
            (message.client_id, message.order_id, message.perm_id): message
            for message in heard
            if isinstance(message, StatusTold)
        }
        listed = {
            (message.client_id, message.order_id, message.perm_id): message
            for message in heard
            if self._is_of_account(message) and not message.is_completed
        }
        unfilled = {
            (told.client_id, told.order_id)
            for key, told in listed.items()
            if key not in statuses or statuses[key].filled == 0
        }
        return [
            (told, self._working(told, statuses.get(key), unfilled))
            for key, told in listed.items()
            if (statuses[key].status if key in statuses else told.status) not in NOT_WORKING
        ]

    async def completed_orders(self) -> Sequence[CompletedOrder]:
        """Orders of the symbol that ended today, and how."""
        async with self._turn:
            self._heard.clear()
            await self._link.ask(
                lambda client: client.reqCompletedOrdersAsync(apiOnly=False), "completed orders"
            )
            told = [m for m in self._heard if self._is_of_account(m) and m.is_completed]
        return [
            CompletedOrder(ref=order.ref, event=self._end_of(order))
            for order in told
            if order.symbol == self._instrument.symbol
        ]

    async def executions(self, since: datetime) -> Sequence[ExecutionReported]:
        """Executions of the symbol from an instant on, as far back as IB tells them.

        IB Gateway tells of its current day alone, TWS of as many as its Trade Log shows. All are
        asked for, without a time of ours, whose zone IB reads by its own settings.
        """
        async with self._turn:
            self._heard.clear()
            wanted = execution_filter(self._link.settings.library, self._link.account)
            await self._link.ask(lambda client: client.reqExecutionsAsync(wanted), "executions")
            told = {
                message.execution_id: message
                for message in self._heard
                if isinstance(message, ExecutionTold) and message.request_id != NO_REQUEST
            }
        return [
            self._orders.execution_report(execution)
            for execution in told.values()
            if execution.symbol == self._instrument.symbol and execution.at >= since
        ]

    async def contracts(self) -> Sequence[ListedContract]:
        """Every dated future of the instrument that IB lists, expired ones included."""
        family = future_family(
            self._link.settings.library,
            self._instrument.symbol,
            self._instrument.exchange,
            self._instrument.currency,
        )
        details = await self._link.ask(
            lambda client: client.reqContractDetailsAsync(family),
            f"contracts of {self._instrument.symbol}",
        )
        return [listed_contract(detail) for detail in details]

    def _is_of_account(self, message: Message) -> TypeGuard[OrderTold]:
        """Whether it is an order of our account: a login may see those of others."""
        return isinstance(message, OrderTold) and message.account in ("", self._link.account)

    def _working(
        self, told: OrderTold, status: StatusTold | None, unfilled: set[tuple[int, int]]
    ) -> WorkingOrder:
        is_ours = told.symbol == self._instrument.symbol
        price = self._instrument.to_ticks(told.price) if is_ours and told.price else None
        return WorkingOrder(
            ref=told.ref,
            symbol=told.symbol,
            side=told.side,
            kind=told.kind,
            quantity=told.quantity if status is None else status.remaining,
            price_ticks=price,
            is_held=told.parent_id > 0 and (told.client_id, told.parent_id) in unfilled,
        )

    def _end_of(self, told: OrderTold) -> OrderEvent:
        """How it ended: what we learnt of it, which knows expiry and refusal, or its status."""
        known = None if told.ref is None else self._orders.by_ref.get(told.ref)
        if known is not None and known.state in _EVENTS:
            return _EVENTS[known.state]
        return _COMPLETED.get(told.status, OrderEvent.CANCELLED)


async def _summary(client: Any) -> Sequence[Any]:
    """Account values as they are now: asked for once, where the library would subscribe."""
    request_id = client.client.getReqId()
    answer = client.wrapper.startReq(request_id)
    client.wrapper.acctSummary.clear()
    client.client.reqAccountSummary(request_id, "All", f"{EQUITY},{FUNDS}")
    await answer
    client.client.cancelAccountSummary(request_id)
    return list(client.wrapper.acctSummary.values())


def _money(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None
