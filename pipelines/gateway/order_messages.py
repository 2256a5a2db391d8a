"""What is told about orders and executions, field by field for each version of the protocol.

The order of the fields is that of the decoders of `ib_insync` 0.9.86, `ib_async` 2.1 and `ibapi`
9.81; where a version adds or drops a field, its number stands beside the field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from pipelines.gateway.order_book import ClientOrder, Fill, Status
from pipelines.gateway.times import in_login_zone
from pipelines.gateway.wire import UNSET_NUMBER, VERSION_MAX, Field


class Slot(NamedTuple):
    """One field's place: its name, what stands there when nothing else does, and in which versions.

    A name that the order has a value for gets that value.
    """

    name: str
    default: Field = None
    since: int = 0
    until: int = VERSION_MAX


def _slots(names: str, default: Field = None, since: int = 0) -> list[Slot]:
    return [Slot(name, default, since) for name in names.split()]


_ADVISOR: Final = [
    *_slots("faGroup faMethod faPercentage"),
    Slot("faProfile", until=176),
    Slot("modelCode", since=103),
]
_OFFSETS: Final = _slots(
    "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf",
    since=170,
)
_RANGES: Final = _slots("startingPrice stockRefPrice delta stockRangeLower stockRangeUpper")
_VOLATILITY: Final = [
    Slot("volatility"),
    Slot("volatilityType", 0),
    *_slots("deltaNeutralOrderType deltaNeutralAuxPrice"),
    *_slots("continuousUpdate referencePriceType", 0),
    *_slots("trailStopPrice trailingPercent"),
]
_COMBO: Final = [
    Slot("comboLegsDescrip"),
    *_slots("comboLegs orderComboLegs smartComboRoutingParams", 0),
    *_slots("scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement hedgeType"),
]
_CLEARING: Final = [
    Slot("clearingAccount"),
    Slot("clearingIntent", "IB"),
    *_slots("notHeld deltaNeutralContract", 0),
    Slot("algoStrategy"),
    Slot("solicited", 0),
]
_MARGINS: Final = [
    *_slots("initMarginBefore maintMarginBefore equityWithLoanBefore", since=142),
    *_slots("initMarginChange maintMarginChange equityWithLoanChange", since=142),
    *_slots("initMarginAfter maintMarginAfter equityWithLoanAfter"),
    *_slots("commission minCommission maxCommission commissionCurrency warningText"),
]

OPEN_ORDER: Final = [
    Slot("openClose"),
    Slot("origin", 0),
    *_slots("orderRef clientId permId outsideRth"),
    Slot("hidden", 0),
    Slot("discretionaryAmt", 0.0),
    *_slots("goodAfterTime sharesAllocation"),
    *_ADVISOR,
    *_slots("goodTillDate rule80A percentOffset settlingFirm"),
    Slot("shortSaleSlot", 0),
    Slot("designatedLocation"),
    Slot("exemptCode", -1),
    Slot("auctionStrategy", 0),
    *_RANGES,
    *_slots("displaySize blockOrder sweepToFill allOrNone", 0),
    Slot("minQty"),
    Slot("ocaType", 0),
    *_slots("eTradeOnly firmQuoteOnly", 0),
    Slot("nbboPriceCap"),
    *_slots("parentId triggerMethod", 0),
    *_VOLATILITY,
    *_slots("basisPoints basisPointsType"),
    *_COMBO,
    Slot("optOutSmartRouting", 0),
    *_CLEARING,
    Slot("whatIf", 0),
    Slot("status"),
    *_MARGINS,
    *_slots("randomizeSize randomizePrice", 0),
    Slot("conditions", 0, since=102),
    Slot("adjustedOrderType", "None", since=102),
    *_slots("triggerPrice adjustedTrailStopPrice lmtPriceOffset", UNSET_NUMBER, since=102),
    *_slots("adjustedStopPrice adjustedStopLimitPrice", UNSET_NUMBER, since=102),
    Slot("adjustedTrailingAmount", UNSET_NUMBER, since=102),
    Slot("adjustableTrailingUnit", 0, since=102),
    *_slots("softDollarTierName softDollarTierValue softDollarTierDisplayName", since=106),
    Slot("cashQty", 0.0, since=111),
    Slot("dontUseAutoPriceForHedge", 0, since=141),
    Slot("isOmsContainer", 0, since=145),
    Slot("discretionaryUpToLimitPrice", 0, since=148),
    Slot("usePriceMgmtAlgo", 0, since=151),
    Slot("duration", since=158),
    Slot("postToAts", since=160),
    Slot("autoCancelParent", 0, since=162),
    *_OFFSETS,
]
"""Message 5 behind the contract and `account`."""

COMPLETED_ORDER: Final = [
    Slot("openClose"),
    Slot("origin", 0),
    *_slots("orderRef permId outsideRth"),
    Slot("hidden", 0),
    Slot("discretionaryAmt", 0.0),
    Slot("goodAfterTime"),
    *_ADVISOR,
    *_slots("goodTillDate rule80A percentOffset settlingFirm"),
    Slot("shortSaleSlot", 0),
    Slot("designatedLocation"),
    Slot("exemptCode", -1),
    *_RANGES,
    *_slots("displaySize sweepToFill allOrNone", 0),
    Slot("minQty"),
    Slot("ocaType", 0),
    Slot("triggerMethod", 0),
    *_VOLATILITY,
    *_COMBO,
    *_CLEARING,
    Slot("status"),
    *_slots("randomizeSize randomizePrice conditions", 0),
    *_slots("adjustedTrailStopPrice lmtPriceOffset", UNSET_NUMBER),
    Slot("cashQty", 0.0),
    *_slots("dontUseAutoPriceForHedge isOmsContainer", 0),
    *_slots("autoCancelDate filledQuantity"),
    *_slots("refFuturesConId autoCancelParent", 0),
    Slot("shareholder"),
    *_slots("imbalanceOnly routeMarketableToBbo", 0),
    *_slots("parentPermId completedTime completedStatus"),
    *_OFFSETS,
]
"""Message 101 behind the contract and `account`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What an order would do to the account, in US dollars."""

    equity_usd: Decimal
    margin_before_usd: Decimal
    margin_after_usd: Decimal
    commission_usd: Decimal

    def values(self, currency: str) -> dict[str, Field]:
        change = self.margin_after_usd - self.margin_before_usd
        margins = {"Before": self.margin_before_usd, "Change": change}
        margins["After"] = self.margin_after_usd
        values: dict[str, Field] = {
            f"{kind}Margin{when}": usd
            for when, usd in margins.items()
            for kind in ("init", "maint")
        }
        values |= {"equityWithLoanBefore": self.equity_usd, "equityWithLoanChange": 0}
        values |= {"equityWithLoanAfter": self.equity_usd, "commission": self.commission_usd}
        return {**values, "whatIf": 1, "commissionCurrency": currency}


def open_order(
    order: ClientOrder, account_id: str, version: int, what_if: WhatIf | None = None
) -> list[Field]:
    """Message 5: an order that lives, or what a what-if order would lead to."""
    currency = order.future.instrument.currency
    values = _values(order) | ({} if what_if is None else what_if.values(currency))
    head: list[Field] = [5, *([34] if version < 145 else []), order.order_id]
    return [*head, *_described(order, account_id), *_filled_in(OPEN_ORDER, values, version)]


def completed_order(order: ClientOrder, account_id: str, version: int) -> list[Field]:
    """Message 101: an order that is over; it carries neither its orderId nor its clientId."""
    values = _values(order) | {
        "filledQuantity": order.filled,
        "parentPermId": 0 if order.parent is None else order.parent.perm_id,
        "completedTime": None if order.ended_at is None else in_login_zone(order.ended_at),
        "completedStatus": _completed_status(order),
    }
    return [101, *_described(order, account_id), *_filled_in(COMPLETED_ORDER, values, version)]


def order_status(order: ClientOrder, version: int) -> list[Field]:
    """Message 3: how far an order has come."""
    return [
        3,
        *([6] if version < 131 else []),
        order.order_id,
        order.status,
        order.filled,
        order.remaining,
        order.average_price,
        order.perm_id,
        order.request.parent_id,
        order.last_price,
        order.client_id,
        order.why_held,
        *([0.0] if version >= 131 else []),
    ]


def execution(fill: Fill, account_id: str, version: int, request_id: int = -1) -> list[Field]:
    """Message 11: one fill; as the answer to a request it carries the request's id."""
    order = fill.order
    return [
        11,
        *([10] if version < 136 else []),
        request_id,
        0 if order is None else order.order_id,
        *fill.future.fields(),
        fill.execution_id,
        in_login_zone(fill.at),
        account_id,
        fill.future.instrument.exchange,
        "BOT" if fill.side > 0 else "SLD",
        fill.quantity,
        fill.price,
        0 if order is None else order.perm_id,
        0 if order is None else order.client_id,
        0,
        fill.filled_so_far,
        fill.average_price,
        "" if order is None else order.request.order_ref,
        "",
        "",
        *([""] if version >= 103 else []),
        *([2] if version >= 136 else []),
        *([0] if version >= 178 else []),
    ]


def commission(fill: Fill) -> list[Field]:
    """Message 59: what a fill cost, and what it realized if it closed lots."""
    realized: Field = UNSET_NUMBER if fill.realized_usd is None else fill.realized_usd
    currency = fill.future.instrument.currency
    return [59, 1, fill.execution_id, fill.commission_usd, currency, realized, UNSET_NUMBER, None]


def _described(order: ClientOrder, account_id: str) -> list[Field]:
    """The contract and the order's first nine fields, the same in messages 5 and 101."""
    request = order.request
    return [
        *order.future.fields(right="?"),
        request.action,
        order.quantity,
        request.order_type,
        Decimal(0) if request.limit is None else request.limit,
        Decimal(0) if request.stop is None else request.stop,
        request.time_in_force or "DAY",
        order.oca_group,
        request.account or account_id,
    ]


def _values(order: ClientOrder) -> dict[str, Field]:
    request = order.request
    return {
        "orderRef": request.order_ref,
        "clientId": order.client_id,
        "permId": order.perm_id,
        "outsideRth": request.outside_regular_hours,
        "goodTillDate": request.good_till,
        "ocaType": order.oca_type,
        "parentId": request.parent_id,
        "status": order.status,
    }


def _filled_in(slots: Sequence[Slot], values: Mapping[str, Field], version: int) -> list[Field]:
    return [
        values.get(slot.name, slot.default) for slot in slots if slot.since <= version <= slot.until
    ]


def _completed_status(order: ClientOrder) -> str:
    if order.status is Status.FILLED:
        return f"Filled Size: {order.filled}"
    return "Cancelled" if order.status is Status.CANCELLED else "Rejected"
