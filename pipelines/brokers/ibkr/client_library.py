"""The one door to the client library: `ib_insync`, or its continuation `ib_async`.

Nobody else imports either. Both bring a module called `eventkit`, each its own version of it, so
they live in separate environments; which of them is used is a setting.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from engine.broker import OrderKind
from engine.errors import SettingsError
from engine.units import OrderRef, Side
from pipelines.brokers.ibkr.messages import (
    CommissionTold,
    DataTypeTold,
    ErrorTold,
    ExecutionTold,
    FiveSecondBar,
    ListedContract,
    Message,
    OrderTold,
    PositionTold,
    QuoteTold,
    StatusTold,
    TimeTold,
)
from pipelines.brokers.ibkr.order_terms import (
    OrderTerms,
    TimeInForce,
    good_till_instant,
    good_till_text,
)

Hear = Callable[[Message], None]

_UNSET: Final = 1e300
"""Beyond it a number is the library's way to say that there is none."""
_BID_TICKS: Final = frozenset({1, 66})
_ASK_TICKS: Final = frozenset({2, 67})
_TYPES: Final = {
    OrderKind.LIMIT: "LMT",
    OrderKind.STOP_MARKET: "STP",
    OrderKind.MARKET: "MKT",
}


class Library(StrEnum):
    """The two clients, which speak the same protocol and almost the same Python."""

    IB_INSYNC = "ib_insync"
    IB_ASYNC = "ib_async"


def library_module(library: Library) -> Any:
    """The module; raises `SettingsError` when it is not installed here."""
    try:
        if library is Library.IB_ASYNC:
            import ib_async

            return ib_async
        import ib_insync
    except ImportError as error:
        raise SettingsError(
            f"CREDENCE_IBKR_LIBRARY: {library.value} is not installed in this environment "
            f"({error}); install it or name the other one"
        ) from error
    return ib_insync


def told_client(library: Library, hear: Hear) -> Any:
    """A new, unconnected `IB` that tells everything it decodes to `hear`, before it acts on it.

    Its own picture of orders is not used: it marks an order cancelled for any error with its id.
    """
    module = library_module(library)
    client = module.IB()
    client.RaiseRequestErrors = True  # Otherwise a failed request would look like an empty answer.
    telling = type("TellingWrapper", (_Telling, module.wrapper.Wrapper), {})
    client.wrapper = telling(client)
    client.wrapper.hear = hear
    client.client = module.client.Client(client.wrapper)
    client.client.apiEnd += client.disconnectedEvent
    return client


def library_order(library: Library, terms: OrderTerms, parent_id: int, account: str) -> Any:
    """The library's order of some terms; the id is given when it is sent."""
    order = library_module(library).Order(
        action="BUY" if terms.side is Side.LONG else "SELL",
        totalQuantity=terms.quantity,
        orderType=_TYPES[terms.kind],
        tif=terms.time_in_force.value,
        goodTillDate="" if terms.good_till is None else good_till_text(terms.good_till),
        outsideRth=terms.outside_rth,
        ocaGroup=terms.oca_group,
        ocaType=terms.oca_type,
        orderRef=str(terms.ref),
        transmit=terms.transmit,
        parentId=parent_id,
        account=account,
    )
    if terms.price is not None and terms.kind is OrderKind.LIMIT:
        order.lmtPrice = float(terms.price)
    if terms.price is not None and terms.kind is OrderKind.STOP_MARKET:
        order.auxPrice = float(terms.price)
    return order


def library_future(library: Library, contract: ListedContract) -> Any:
    """The library's contract of one dated future, by its conId."""
    return library_module(library).Contract(
        secType="FUT",
        conId=contract.con_id,
        symbol=contract.symbol,
        exchange=contract.exchange,
        currency=contract.currency,
        localSymbol=contract.local_symbol,
    )


def future_family(library: Library, symbol: str, exchange: str, currency: str) -> Any:
    """The library's question for every dated future of a symbol, expired ones included."""
    return library_module(library).Contract(
        secType="FUT", symbol=symbol, exchange=exchange, currency=currency, includeExpired=True
    )


def request_error(library: Library) -> Any:
    """The class of error that the library raises for a refused request: `code` and `message`."""
    return library_module(library).wrapper.RequestError


def execution_filter(library: Library, account: str) -> Any:
    """The library's filter for the executions of an account, whoever sent their orders."""
    return library_module(library).ExecutionFilter(acctCode=account)


def listed_contract(details: Any) -> ListedContract:
    """One answer to a question for contract details; raises `ValueError` without an expiry."""
    contract = details.contract
    text = str(details.realExpirationDate or contract.lastTradeDateOrContractMonth)[:8]
    return ListedContract(
        con_id=contract.conId,
        symbol=contract.symbol,
        local_symbol=contract.localSymbol,
        exchange=contract.exchange,
        currency=contract.currency,
        expiry_date=date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}"),
        multiplier=Decimal(contract.multiplier or 1),
        tick_size=Decimal(str(details.minTick)),
    )


class _Telling:
    """Stands before the library's wrapper: each message goes to `hear`, then to the library."""

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
