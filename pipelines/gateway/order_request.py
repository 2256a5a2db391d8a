"""What a client asks for with `placeOrder`, read field by field up to the last one that matters."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipelines.gateway.instruments import Wanted
from pipelines.gateway.wire import Fields

CANCEL_ALL_WITH_BLOCK: Final = 1
"""ocaType 1: the first fill ends the others; 2, 3 and unset shrink them by what was filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as the client wrote it; prices in points, null where the order has none.

    `unsupported` names the first thing asked for that the gateway does not serve, empty if none.
    """

    order_id: int
    wanted: Wanted
    action: str
    quantity: Decimal
    order_type: str
    limit: Decimal | None = None
    stop: Decimal | None = None
    time_in_force: str = ""
    oca_group: str = ""
    account: str = ""
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    outside_regular_hours: bool = False
    good_till: str = ""
    oca_type: int = 0
    what_if: bool = False
    unsupported: str = ""


def read_order(fields: Fields, version: int) -> OrderRequest:
    """The order of a `placeOrder` message; `fields` stands behind the message number.

    Raises `UnreadableField` where a field is missing or is not what its place calls for.
    """
    if version < 145:
        fields.skip()  # The message's own version.
    order_id, wanted = fields.integer(), Wanted.read(fields)
    fields.skip(2)  # secIdType, secId
    action, quantity, order_type = fields.text(), fields.number(), fields.text()
    limit, stop = fields.number(), fields.number()
    time_in_force, oca_group, account = fields.texts(3)
    fields.skip(2)  # openClose, origin
    order_ref, transmit, parent_id = fields.text(), fields.flag(), fields.integer()
    fields.skip(4)  # blockOrder, sweepToFill, displaySize, triggerMethod
    outside_regular_hours = fields.flag()
    fields.skip()  # hidden
    unsupported = _read_combo(fields, wanted)
    fields.skip(2)  # sharesAllocation, discretionaryAmt
    good_after, good_till = fields.texts(2)
    fields.skip(3 if version >= 177 else 4)  # faGroup, faMethod, faPercentage, faProfile
    fields.skip(1 if version >= 103 else 0)  # modelCode
    fields.skip(3)  # shortSaleSlot, designatedLocation, exemptCode
    oca_type = fields.integer()
    what_if, extra = _read_tail(fields, order_type, version)
    return OrderRequest(
        order_id=order_id,
        wanted=wanted,
        action=action,
        quantity=Decimal(0) if quantity is None else quantity,
        order_type=order_type,
        limit=limit,
        stop=stop,
        time_in_force=time_in_force,
        oca_group=oca_group,
        account=account,
        order_ref=order_ref,
        transmit=transmit,
        parent_id=parent_id,
        outside_regular_hours=outside_regular_hours,
        good_till=good_till,
        oca_type=oca_type,
        what_if=what_if,
        unsupported=unsupported or ("good-after time" if good_after else extra),
    )


def _read_combo(fields: Fields, wanted: Wanted) -> str:
    """Skip what only combination orders carry, and name it as unsupported."""
    if wanted.sec_type != "BAG":
        return ""
    for _ in range(fields.count()):
        fields.skip(8)
    fields.skip(fields.count())
    fields.skip(2 * fields.count())
    return "combination"


def _read_tail(fields: Fields, order_type: str, version: int) -> tuple[bool, str]:
    """Whether the order is a what-if, and the first condition or algorithm it asks for."""
    fields.skip(17)  # rule80A … overridePercentageConstraints, volatility, volatilityType
    delta_neutral_type = fields.text()
    fields.skip()  # deltaNeutralAuxPrice
    fields.skip(8 if delta_neutral_type else 0)
    fields.skip(6)  # continuousUpdate … scaleSubsLevelSize
    scale_increment = fields.number()
    fields.skip(7 if scale_increment is not None and scale_increment > 0 else 0)
    fields.skip(3)  # scaleTable, activeStartTime, activeStopTime
    hedge_type = fields.text()
    fields.skip(1 if hedge_type else 0)
    fields.skip(4)  # optOutSmartRouting, clearingAccount, clearingIntent, notHeld
    has_delta_neutral_contract = fields.flag()
    fields.skip(3 if has_delta_neutral_contract else 0)
    algorithm = fields.text()
    fields.skip(2 * fields.count() if algorithm else 0)
    fields.skip()  # algoId
    what_if = fields.flag()
    fields.skip(4)  # orderMiscOptions, solicited, randomizeSize, randomizePrice
    if order_type in {"PEG BENCH", "PEGBENCH"}:
        fields.skip(5)
    has_conditions = version >= 102 and fields.count() > 0
    named = {"algorithm": algorithm, "hedge": hedge_type, "condition": has_conditions}
    return what_if, next((name for name, is_set in named.items() if is_set), "")
