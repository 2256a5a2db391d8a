"""The rule every engine can express, and the bars it is run on.

At the close of a bar, flat since the last one: buy above the highest high of the `channel_bars`
before it, sell below their lowest low, one contract at market, with a stop and a target so many
ticks from that close. What is open when `flat_minutes` bars are left is closed at market.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import polars as pl

from engine.instrument import Instrument

BARS_FILE: Final = "rule-bars.csv"
PRICES: Final = ("open", "high", "low", "close")


class Fills(StrEnum):
    """At which price a market order trades that was given at the close of a bar.

    Orders that rest are looked at from the bar after that close on, whichever it is.
    """

    THIS_CLOSE = "this_close"
    NEXT_OPEN = "next_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceRule:
    """The numbers of the rule; nobody should trade it."""

    channel_bars: int
    stop_ticks: int
    target_ticks: int
    flat_minutes: int = 5

    def plain(self, instrument: Instrument, fills: Fills) -> Mapping[str, Any]:
        """The rule as the other engines read it, with what they have to know of the instrument."""
        tick_points = float(instrument.tick_size)
        return {
            **asdict(self),
            "tick_points": tick_points,
            "point_usd": round(float(instrument.tick_value_usd) / tick_points),
            "fee_usd": float(instrument.fees.per_side_usd),
            "fills": fills.value,
        }


CALM: Final = RaceRule(channel_bars=60, stop_ticks=80, target_ticks=120)
"""Trades about as often as the desk does on generated bars, so that orders weigh alike."""

BUSY: Final = RaceRule(channel_bars=20, stop_ticks=12, target_ticks=18)
"""Ten times as many trades: what orders cost, and many more trades to compare."""

TIGHT: Final = RaceRule(channel_bars=20, stop_ticks=3, target_ticks=4)
"""So near that a bar often holds both orders: here engines have to guess what came first."""


def rule_bars(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
    """Bars as the rule sees them: closes_at, prices in ticks, volume, minute and minutes_left.

    `contexts` say how long each session is. One row per bar, in the order of `bars`.
    """
    minutes = contexts.select("session_date", "symbol", "session_minutes")
    known = bars.join(minutes, on=["session_date", "symbol"], how="left", maintain_order="left")
    return known.select(
        "closes_at",
        *(f"{price}_ticks" for price in PRICES),
        "volume",
        "minute",
        minutes_left=pl.col("session_minutes") - 1 - pl.col("minute"),
    )


def write_bars(bars: pl.DataFrame, instrument: Instrument, folder: Path) -> Path:
    """The CSV of the other engines: `closes_at_ns` in UTC, prices in points, the counts."""
    tick = float(instrument.tick_size)
    path = folder / BARS_FILE
    bars.select(
        closes_at_ns=pl.col("closes_at").dt.epoch("ns"),
        **{price: pl.col(f"{price}_ticks") * tick for price in PRICES},
        volume=pl.col("volume"),
        minute=pl.col("minute"),
        minutes_left=pl.col("minutes_left"),
    ).write_csv(path)
    return path


def write_rule(rule: RaceRule, instrument: Instrument, fills: Fills, folder: Path) -> Path:
    """The JSON of the other engines."""
    path = folder / f"rule-{fills.value}.json"
    path.write_text(json.dumps(rule.plain(instrument, fills)), encoding="utf-8")
    return path
