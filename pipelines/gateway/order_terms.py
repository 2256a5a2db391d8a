"""From what a client wrote to what the exchange can take, or IB's own words for why not."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, NamedTuple

from engine.broker import OrderKind
from engine.errors import OffGridPrice
from engine.units import Side
from pipelines.gateway.instruments import Future, Listing, Wanted
from pipelines.gateway.order_request import OrderRequest
from pipelines.gateway.times import LOGIN_ZONE, read_instant

KINDS: Final = {
    "LMT": OrderKind.LIMIT,
    "STP": OrderKind.STOP_MARKET,
    "MKT": OrderKind.MARKET,
}
SIDES: Final = {"BUY": Side.LONG, "SELL": Side.SHORT}
TIMES_IN_FORCE: Final = {"", "DAY", "GTC", "GTD"}
QUANTITY_MAX: Final = 10_000
PRICE_MAX: Final = 1_000_000
DAY_ENDS_AT: Final = time(17)
"""End of the trading day, on the clock of New York."""


class Refusal(NamedTuple):
    """IB's error for a request that cannot be carried out."""

    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """An order in the exchange's terms: whole ticks, and an end of its life in UTC."""

    future: Future
    side: Side
    kind: OrderKind
    quantity: int
    price_ticks: int | None
    expires_at: datetime | None


def invalid(cause: str) -> Refusal:
    """321: the request itself is wrong."""
    return Refusal(321, f"Error validating request.-'bO' : cause - {cause}")


def not_found() -> Refusal:
    """200: no listed month fits the description."""
    return Refusal(200, "No security definition has been found for the request")


def ambiguous(wanted: Wanted) -> Refusal:
    """200: more than one listed month fits the description."""
    name = wanted.symbol[:20]
    return Refusal(200, f"The contract description specified for {name} is ambiguous.")


def rejected(reason: str) -> Refusal:
    """201: the order is not taken, for a reason."""
    return Refusal(201, f"Order rejected - reason:{reason}")


def terms_of(
    request: OrderRequest, listing: Listing, account_id: str, now: datetime
) -> OrderTerms | Refusal:
    """The terms of an order that can be placed as it is written."""
    future = _future_of(request, listing)
    if isinstance(future, Refusal):
        return future
    if request.unsupported:
        return invalid(f"{request.unsupported} orders are not supported here")
    if request.account not in {"", account_id}:
        return invalid(f"The account '{request.account[:40]}' is unknown")
    if request.action not in SIDES:
        return invalid(f"Invalid side '{request.action[:10]}'")
    if request.order_type not in KINDS:
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    quantity = _quantity_of(request)
    if isinstance(quantity, Refusal):
        return quantity
    expires_at = _end_of_life(request, now)
    if isinstance(expires_at, Refusal):
        return expires_at
    price_ticks = _price_of(request, future)
    if isinstance(price_ticks, Refusal):
        return price_ticks
    return OrderTerms(
        future=future,
        side=SIDES[request.action],
        kind=KINDS[request.order_type],
        quantity=quantity,
        price_ticks=price_ticks,
        expires_at=expires_at,
    )


def _future_of(request: OrderRequest, listing: Listing) -> Future | Refusal:
    found = listing.find(request.wanted)
    if not found:
        return not_found()
    if len(found) > 1:
        return ambiguous(request.wanted)
    if found[0].sec_type != "FUT":
        return rejected("The contract is not available for trading.")
    if found[0] != listing.traded():
        return rejected(f"No market in {found[0].local_symbol} here.")
    return found[0]


def _quantity_of(request: OrderRequest) -> int | Refusal:
    quantity = request.quantity
    if quantity <= 0:
        return Refusal(434, "The order size cannot be zero.")
    if quantity != quantity.to_integral_value():
        return Refusal(10243, "Fractional-sized order cannot be placed via API.")
    if quantity > QUANTITY_MAX:
        text = f'The following order "ID:{request.order_id}" size exceeds the Size Limit of '
        return Refusal(383, f"{text}{QUANTITY_MAX}.")
    return int(quantity)


def _price_of(request: OrderRequest, future: Future) -> int | Refusal | None:
    kind = KINDS[request.order_type]
    if kind is OrderKind.MARKET:
        return None
    price = request.limit if kind is OrderKind.LIMIT else request.stop
    if price is None or price <= 0:
        return invalid("The price of the order is missing")
    if price > PRICE_MAX:
        return Refusal(109, "Price is out of the range defined by the Precautionary Settings.")
    try:
        return future.instrument.to_ticks(price)
    except OffGridPrice:
        text = "The price does not conform to the minimum price variation for this contract."
        return Refusal(110, text)


def _end_of_life(request: OrderRequest, now: datetime) -> datetime | Refusal | None:
    if request.time_in_force not in TIMES_IN_FORCE:
        return Refusal(10052, f"Invalid time in force:{request.time_in_force[:20]}.")
    if request.time_in_force == "GTC":
        return None
    if request.time_in_force == "GTD":
        ends_at = read_instant(request.good_till)
        if ends_at is None:
            text = "The date, time, or time-zone entered is invalid. The correct format is "
            return Refusal(343, f"{text}yyyymmdd hh:mm:ss xx/xxxx.")
        return ends_at
    return day_end(now)


def day_end(now: datetime) -> datetime:
    """When the trading day of an instant is over: 17:00 in New York, as UTC."""
    local = now.astimezone(LOGIN_ZONE)
    ends = datetime.combine(local.date(), DAY_ENDS_AT, LOGIN_ZONE)
    if ends <= local:
        ends = datetime.combine(local.date() + timedelta(days=1), DAY_ENDS_AT, LOGIN_ZONE)
    return ends.astimezone(now.tzinfo)
