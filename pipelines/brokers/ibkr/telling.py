"""What the client library decodes, put into our own words before the library acts on it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from engine.broker import OrderKind
from engine.units import OrderRef, Side
from pipelines.brokers.ibkr.messages import (
    CommissionTold,
    DataTypeTold,
    ErrorTold,
    ExecutionTold,
    FiveSecondBar,
    Message,
    OrderTold,
    PositionTold,
    QuoteTold,
    StatusTold,
    TimeTold,
)
from pipelines.brokers.ibkr.order_terms import TimeInForce, good_till_instant

Hear = Callable[[Message], None]

_UNSET: Final = 1e300
"""Beyond it a number is the library's way to say that there is none."""
_BID_TICKS: Final = frozenset({1, 66})
_ASK_TICKS: Final = frozenset({2, 67})


class Telling:
    """Stands before the library's wrapper: each message goes to `hear`, then to the library.

    The names and positions of the methods are the library's.
    """

    hear: Hear

    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:  # noqa: N802, N803
        if not order.whatIf:
            self.hear(_order_told(orderId, contract, order, orderState, is_completed=False))
        super().openOrder(orderId, contract, order, orderState)  # type: ignore[misc]

    def completedOrder(self, contract: Any, order: Any, orderState: Any) -> None:  # noqa: N802, N803
        self.hear(_order_told(0, contract, order, orderState, is_completed=True))
        super().completedOrder(contract, order, orderState)  # type: ignore[misc]

    def orderStatus(self, orderId: int, status: str, *rest: Any, **named: Any) -> None:  # noqa: N802, N803
        filled, remaining, _, perm_id, _, _, client_id = rest[:7]
        self.hear(
            StatusTold(
                order_id=orderId,
                client_id=client_id,
                perm_id=perm_id,
                status=status,
                filled=int(filled),
                remaining=int(remaining),
            )
        )
        super().orderStatus(orderId, status, *rest, **named)  # type: ignore[misc]

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:  # noqa: N802, N803
        self.hear(
            ExecutionTold(
                request_id=reqId,
                execution_id=execution.execId,
                order_id=execution.orderId if 0 < execution.orderId < 2**31 - 1 else 0,
                client_id=execution.clientId,
                perm_id=execution.permId,
                ref=OrderRef(execution.orderRef) if execution.orderRef else None,
                symbol=contract.symbol,
                side=Side.LONG if execution.side == "BOT" else Side.SHORT,
                quantity=int(execution.shares),
                price=Decimal(str(execution.price)),
                at=_aware(execution.time),
            )
        )
        super().execDetails(reqId, contract, execution)  # type: ignore[misc]

    def commissionReport(self, commissionReport: Any) -> None:  # noqa: N802, N803
        fee = commissionReport.commission
        self.hear(
            CommissionTold(
                execution_id=commissionReport.execId,
                commission_usd=Decimal(str(fee)) if 0 <= fee < _UNSET else None,
            )
        )
        super().commissionReport(commissionReport)  # type: ignore[misc]

    def position(self, account: str, contract: Any, posSize: float, avgCost: float) -> None:  # noqa: N803
        self.hear(
            PositionTold(
                account=account,
                symbol=contract.symbol,
                con_id=contract.conId,
                quantity=int(posSize),
            )
        )
        super().position(account, contract, posSize, avgCost)  # type: ignore[misc]

    def error(self, reqId: int, errorCode: int, errorString: str, *rest: Any) -> None:  # noqa: N803
        self.hear(ErrorTold(request_id=reqId, code=errorCode, text=errorString))
        super().error(reqId, errorCode, errorString, *rest)  # type: ignore[misc]

    def realtimeBar(  # noqa: N802
        self,
        reqId: int,  # noqa: N803
        time: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        wap: float,  # noqa: ARG002 - the library calls us by position.
        count: int,
    ) -> None:
        self.hear(
            FiveSecondBar(
                request_id=reqId,
                opens_at=datetime.fromtimestamp(time, UTC),
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=max(0, int(volume)),
                trades=count if count >= 0 else None,
            )
        )
        # The library would keep every bar of the day for a list that nobody reads.

    def priceSizeTick(self, reqId: int, tickType: int, price: float, *_: float) -> None:  # noqa: N802, N803
        if tickType in _BID_TICKS or tickType in _ASK_TICKS:
            known = price if price > 0 else None
            self.hear(QuoteTold(request_id=reqId, is_bid=tickType in _BID_TICKS, price=known))

    def tickSize(self, *_: float) -> None:  # noqa: N802
        """Sizes are of no use, and the library would complain of a subscription it did not make."""

    def marketDataType(self, reqId: int, marketDataId: int) -> None:  # noqa: N802, N803
        self.hear(DataTypeTold(request_id=reqId, data_type=marketDataId))

    def currentTime(self, time: int) -> None:  # noqa: N802
        self.hear(TimeTold(at=datetime.fromtimestamp(time, UTC)))
        super().currentTime(time)  # type: ignore[misc]


def _order_told(
    order_id: int, contract: Any, order: Any, state: Any, *, is_completed: bool
) -> OrderTold:
    kind = order_kind(order.orderType)
    price = {OrderKind.LIMIT: order.lmtPrice, OrderKind.STOP_MARKET: order.auxPrice}.get(kind)
    return OrderTold(
        order_id=order_id,
        client_id=order.clientId,
        perm_id=order.permId,
        parent_id=order.parentId if 0 < order.parentId < 2**31 - 1 else 0,
        account=order.account,
        ref=OrderRef(order.orderRef) if order.orderRef else None,
        symbol=contract.symbol,
        con_id=contract.conId,
        side=Side.LONG if order.action == "BUY" else Side.SHORT,
        kind=kind,
        quantity=_whole(order.totalQuantity) or _whole(order.filledQuantity),
        price=Decimal(str(price)) if price is not None and abs(price) < _UNSET else None,
        time_in_force=order.tif if order.tif in set(TimeInForce) else "",
        good_till=good_till_instant(order.goodTillDate),
        oca_group=order.ocaGroup,
        outside_rth=order.outsideRth,
        status=state.status,
        status_text=getattr(state, "completedStatus", ""),
        is_completed=is_completed,
    )


def order_kind(order_type: str) -> OrderKind:
    """The nearest of our kinds: others' orders may be of any type, ours are of these three."""
    if order_type.startswith(("STP", "TRAIL")):
        return OrderKind.STOP_MARKET
    return OrderKind.LIMIT if order_type.startswith("LMT") else OrderKind.MARKET


def _whole(quantity: Any) -> int:
    number = float(quantity)
    return int(number) if number < _UNSET else 0


def _aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
