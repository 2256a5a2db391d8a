"""Table `quality`."""

from typing import Final

import polars as pl

from contracts.schemas.columns import BAR_KEY, flag, number, share, text, ticks
from contracts.schemas.table import Rule, Table
from engine.quality import QUALITY_EVENTS

_ANY_EVENT: Final = f"({'|'.join(QUALITY_EVENTS)})"
_UNSEEDED: Final = "no prior session to start from, for its own length"

QUALITY: Final = Table(
    name="quality",
    meaning="How far each bar can be trusted: the data validity score (DVS) and what lowered it.",
    key=("symbol", "closes_at"),
    columns=(
        *BAR_KEY,
        ticks("true_range_ticks", "True range; high − low on the session's first bar.", low=0),
        number("atr_5_ticks", "ticks", "Wilder's ATR over 5 bars.", null=_UNSEEDED, low=0),
        number("atr_14_ticks", "ticks", "Wilder's ATR over 14 bars.", null=_UNSEEDED, low=0),
        number("atr_30_ticks", "ticks", "Wilder's ATR over 30 bars.", null=_UNSEEDED, low=0),
        number(
            "volume_z",
            "standard deviations",
            "Volume against the session's last 60 bars, before it is clipped to S13.",
            null="the session's first bars, until there are 20",
        ),
        share("bar_score", "1 less the penalties of the bar's own events, at least 0."),
        share("dvs", "Data validity score: the least bar score of the last bars."),
        text(
            "quality_events",
            "Names of the events that hold on the bar, joined by commas; empty if none.",
            pattern=f"^({_ANY_EVENT}(,{_ANY_EVENT})*)?$",
        ),
        flag("is_shock", "A true shock: range, volume and body far beyond normal at once."),
    ),
    row_rules=(
        Rule(
            "dvs is at most bar_score", pl.col("dvs") <= pl.col("bar_score"), ("dvs", "bar_score")
        ),
    ),
)
