"""Trades of the rule, whoever made them: whole ticks, and bars by their number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from engine.errors import OffGridPrice
from engine.units import Side

TICKS_OFF_MAX: Final = 1e-6
"""How far a price may lie from the grid: what floating point does to it, and no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrade:
    """One round trip of one contract; the bars count from 0, fees are those of both sides."""

    side: Side
    entry_bar: int
    entry_ticks: int
    exit_bar: int
    exit_ticks: int
    fees_usd: Decimal


def trades_of(rows: Iterable[Mapping[str, Any]], tick_points: float) -> list[RuleTrade]:
    """The trades another engine told, in order; raises `OffGridPrice` for one between two ticks."""
    trades = [
        RuleTrade(
            side=Side(row["side"]),
            entry_bar=row["entry_bar"],
            entry_ticks=_ticks(row, "entry", tick_points),
            exit_bar=row["exit_bar"],
            exit_ticks=_ticks(row, "exit", tick_points),
            fees_usd=Decimal(str(round(row["fees_usd"], 4))),
        )
        for row in rows
    ]
    return sorted(trades, key=lambda trade: (trade.entry_bar, trade.exit_bar))


def _ticks(row: Mapping[str, Any], name: str, tick_points: float) -> int:
    exact: float = row[name] / tick_points
    if abs(exact - round(exact)) > TICKS_OFF_MAX:
        raise OffGridPrice(
            f"bar {row[f'{name}_bar']}: expected an {name} on the {tick_points} grid, "
            f"got {row[name]}; the engine's script has to send orders on the grid"
        )
    return round(exact)
