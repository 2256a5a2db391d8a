"""How a person reads the gates that a decision records: in words, and whether each one held."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, lt
from typing import Final


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a record: `group` is `own` or `market`; a null value holds where it says so."""

    group: str
    name: str
    words: str
    sign: str = ""
    null_holds: bool = False

    def holds(self, value: float | None, limit: float) -> bool | None:
        """Whether the value satisfies the limit; null for a gate that has none."""
        compare = _SIGNS.get(self.sign)
        if compare is None:
            return None
        return self.null_holds if value is None else compare(value, limit)


_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {"≥": ge, ">": gt, "<": lt}

GATES: Final = (
    Gate("own", "lock", "kill switch or halt"),
    Gate("own", "positions", "open positions", "<"),
    Gate("own", "net_usd_today", "net today, USD", ">"),
    Gate("own", "net_usd_this_week", "net this week, USD", ">"),
    Gate("own", "net_usd_this_month", "net this month, USD", ">"),
    Gate("own", "trades_today", "trades today", "<"),
    Gate("own", "loss_streak", "losses in a row", "<"),
    Gate("own", "cooldown_ends_at", "cooldown ends"),
    Gate("own", "equity_usd", "equity, USD"),
    Gate("own", "standings", "learning"),
    Gate("own", "feed", "market data"),
    Gate("market", "dvs", "data validity score", "≥"),
    Gate("own", "eqs", "execution quality score", "≥"),
    Gate("market", "minutes_to_close", "minutes to the close", ">"),
    Gate(
        "market",
        "minutes_since_volatility",
        "minutes since a volatility shock",
        "≥",
        null_holds=True,
    ),
    Gate("market", "minutes_since_wide", "minutes since a wide spread", "≥", null_holds=True),
    Gate("market", "minutes_since_news", "minutes since a news shock", "≥", null_holds=True),
    Gate("market", "slippage_ticks", "expected slippage a side, ticks", "<"),
    Gate("market", "friction_ticks", "friction of a round trip, ticks"),
    Gate("market", "atr_14_ticks", "ATR14, ticks"),
    Gate("market", "vwap_z", "distance from VWAP, deviations"),
    Gate("market", "regime", "regime"),
)
"""Every gate of a decision's record but the beliefs, in the order of the ladder."""
