"""What each error code of Interactive Brokers calls for: one table, read by whoever hears a code.

IB sends errors, warnings and plain notices through one message. A code may be about the order that
carries its id, about a request for data, or about the connection as a whole; each is looked up in
the column it belongs to, and a code not listed is treated as the column's cautious default.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OrderReaction(StrEnum):
    """What an error with the id of one of our orders says about that order."""

    REFUSED = "refused"  # The order, or the change of it that is on its way, was not taken.
    IN_DOUBT = "in_doubt"  # Only the broker knows: it is asked, and nothing is sent again.
    LIVES = "lives"  # A warning: the order works all the same.
    ENDING = "ending"  # A word about an end that the order's status will tell.


class DataReaction(StrEnum):
    """What an error says about the market data, with the id of a subscription or without."""

    COMPETING = "competing"
    DELAYED = "delayed"
    BROKEN = "broken"
    ASK_AGAIN = "ask_again"  # The subscription is dead, and may be asked for once more.


class HistoryReaction(StrEnum):
    """What an error says about a question for old bars; code 162 is three things in one."""

    WAIT = "wait"
    EMPTY = "empty"
    CANCELLED = "cancelled"
    FAILED = "failed"


class LinkReaction(StrEnum):
    """What an error without an id says about the connection."""

    CUT = "cut"  # The gateway hears us, and IB's servers do not hear the gateway.
    RESTORED_WITHOUT_DATA = "restored_without_data"
    RESTORED = "restored"
    RECONNECT = "reconnect"
    CLIENT_ID_IN_USE = "client_id_in_use"
    FARM_BROKEN = "farm_broken"
    FARM_OK = "farm_ok"
    FARM_IDLE = "farm_idle"


ORDER_REACTIONS: Final[Mapping[int, OrderReaction]] = {
    103: OrderReaction.IN_DOUBT,  # Duplicate order id: the order first sent under it may work.
    104: OrderReaction.IN_DOUBT,  # A filled order cannot be changed; its fill is on the way.
    105: OrderReaction.REFUSED,  # The changed order does not match the first one.
    110: OrderReaction.REFUSED,  # The price is off the tick grid.
    135: OrderReaction.REFUSED,  # No order with this parent's id.
    161: OrderReaction.IN_DOUBT,  # A cancel of what cannot be cancelled any more.
    201: OrderReaction.REFUSED,  # Rejected by IB or by the exchange; the text says why.
    202: OrderReaction.ENDING,  # Cancelled; the status follows.
    203: OrderReaction.REFUSED,  # The product may not be traded by this account.
    321: OrderReaction.REFUSED,  # Not valid, or the API is read-only.
    354: OrderReaction.IN_DOUBT,  # About data, with the id of an order.
    387: OrderReaction.REFUSED,  # The order type does not exist at this exchange.
    399: OrderReaction.LIVES,  # A message about the order, such as that it waits for the open.
    404: OrderReaction.LIVES,  # Held while shares are located.
    434: OrderReaction.REFUSED,  # A size of zero.
    492: OrderReaction.LIVES,
    10006: OrderReaction.REFUSED,  # The parent order is missing.
    10147: OrderReaction.IN_DOUBT,  # The order to cancel was not found.
    10148: OrderReaction.IN_DOUBT,  # The order to cancel is in a state that cannot be cancelled.
    10197: OrderReaction.IN_DOUBT,  # About a competing session, with the id of an order.
    10311: OrderReaction.IN_DOUBT,  # Held for a person's confirmation of its routing.
    10349: OrderReaction.LIVES,  # The life was set by a preset of the account.
}
"""By code; 2100 to 2199 are warnings (`LIVES`), and any other code leaves the order in doubt."""

DATA_REACTIONS: Final[Mapping[int, DataReaction]] = {
    354: DataReaction.BROKEN,  # No subscription to this market data.
    420: DataReaction.BROKEN,  # Real-time bars refused; the text says why.
    10089: DataReaction.BROKEN,  # Needs a further subscription.
    10090: DataReaction.BROKEN,  # A part of it is not subscribed.
    10167: DataReaction.DELAYED,  # Delayed data is shown in place of live data.
    10168: DataReaction.BROKEN,  # Not subscribed, and delayed data is not enabled.
    10182: DataReaction.ASK_AGAIN,  # Live updates ended with a lost connection.
    10186: DataReaction.BROKEN,  # Not subscribed, and delayed data is not enabled.
    10197: DataReaction.COMPETING,  # Another session of the same user has the market data.
    10225: DataReaction.ASK_AGAIN,  # Bust event: the library asks again by itself, and so do we.
}
"""By code, for errors with the id of a subscription, and 10197 without one."""

LINK_REACTIONS: Final[Mapping[int, LinkReaction]] = {
    326: LinkReaction.CLIENT_ID_IN_USE,
    1100: LinkReaction.CUT,
    1101: LinkReaction.RESTORED_WITHOUT_DATA,
    1102: LinkReaction.RESTORED,
    1300: LinkReaction.RECONNECT,  # The gateway changed its port, or restarts.
    2103: LinkReaction.FARM_BROKEN,  # Market data.
    2104: LinkReaction.FARM_OK,
    2105: LinkReaction.FARM_BROKEN,  # Historical data.
    2106: LinkReaction.FARM_OK,
    2107: LinkReaction.FARM_IDLE,  # Historical data, on demand.
    2108: LinkReaction.FARM_IDLE,  # Market data, on demand.
    2110: LinkReaction.CUT,  # Between the gateway and IB's server; mended by itself.
    2157: LinkReaction.FARM_BROKEN,  # Contract definitions.
    2158: LinkReaction.FARM_OK,
}
"""By code, for errors without an id; any other code is a notice and changes nothing."""

MARKET_DATA_FARM_CODES: Final = frozenset({2103, 2104, 2108})
"""Codes of the farms whose loss stops bars and quotes; others serve history and contracts."""

ON_DEMAND: Final = "upon demand."
"""Before the name of an idle farm, where others have a colon."""


def order_reaction(code: int) -> OrderReaction:
    """What a code means for the order whose id it carries."""
    if 2100 <= code < 2200:
        return OrderReaction.LIVES
    return ORDER_REACTIONS.get(code, OrderReaction.IN_DOUBT)


def data_reaction(code: int) -> DataReaction | None:
    """What a code means for a subscription; null for a notice."""
    return DATA_REACTIONS.get(code)


def link_reaction(code: int) -> LinkReaction | None:
    """What a code means for the connection; null for a notice."""
    return LINK_REACTIONS.get(code)


def history_reaction(code: int, text: str) -> HistoryReaction:
    """What an answer to a question for old bars means; the text decides, not the code alone."""
    lowered = text.lower()
    if "pacing" in lowered:
        return HistoryReaction.WAIT
    if code == 162 and ("no data" in lowered or "returned no" in lowered):
        return HistoryReaction.EMPTY
    if code == 366 or "cancel" in lowered:
        return HistoryReaction.CANCELLED
    return HistoryReaction.FAILED


def farm_of(text: str) -> str:
    """The farm's name at the end of a notice: `usfuture` of `… connection is OK:usfuture`.

    The notice of an idle farm ends `… should be available upon demand.usfuture`; names like
    `usfarm.us` have points of their own.
    """
    _, is_idle, name = text.rpartition(ON_DEMAND)
    return (name if is_idle else text.rpartition(":")[2]).strip(" :") or "unnamed"
