"""The one door to the client library: `ib_insync`, or its continuation `ib_async`.

Nobody else imports either. Both bring a module called `eventkit`, each its own version of it, so
they live in separate environments; which of them is used is a setting.
"""

import logging
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from engine.broker import OrderKind
from engine.errors import SettingsError
from engine.units import Side
from pipelines.brokers.ibkr.messages import ListedContract
from pipelines.brokers.ibkr.order_terms import OrderTerms, good_till_text
from pipelines.brokers.ibkr.telling import Hear, Telling

_TYPES: Final = {
    OrderKind.LIMIT: "LMT",
    OrderKind.STOP_MARKET: "STP",
    OrderKind.MARKET: "MKT",
}


class Library(StrEnum):
    """The two clients, which speak the same protocol and almost the same Python."""

    IB_INSYNC = "ib_insync"
    IB_ASYNC = "ib_async"


for _library in Library:
    # What the libraries log is told to the desk in words of its own; a handler still gets it all.
    logging.getLogger(_library.value).addHandler(logging.NullHandler())


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
    telling = type("TellingWrapper", (Telling, module.wrapper.Wrapper), {})
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
