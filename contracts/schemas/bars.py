"""Tables `bars` and `rejected_bars`."""

from typing import Final

import polars as pl

from contracts.schemas.columns import BAR_KEY, SESSION_DATE, SYMBOL, instant, text, ticks
from contracts.schemas.table import Column, Rule, Table
from engine.bars import RejectReason

_NO_QUOTE: Final = "the source has no quotes"

BARS: Final = Table(
    name="bars",
    meaning="One closed 1-minute bar of the regular session, in whole ticks.",
    key=("symbol", "closes_at"),
    columns=(
        *BAR_KEY[:2],
        instant("opens_at", "Start of the minute."),
        *BAR_KEY[2:],
        ticks("open_ticks", "First price."),
        ticks("high_ticks", "Highest price."),
        ticks("low_ticks", "Lowest price."),
        ticks("close_ticks", "Last price."),
        Column(
            name="volume", dtype=pl.Int64(), unit="contracts", meaning="Contracts traded.", low=0
        ),
        Column(
            name="trades",
            dtype=pl.Int64(),
            unit="trades",
            meaning="Number of trades.",
            null="the source does not count them",
            low=0,
        ),
        ticks("bid_ticks", "Best bid at the close of the bar.", null=_NO_QUOTE),
        ticks("ask_ticks", "Best ask at the close of the bar.", null=_NO_QUOTE),
        instant("arrived_at", "When the bar reached us.", null="not live"),
        text("source", "Where the bar came from, as `credence ingest` names it."),
    ),
    row_rules=(
        Rule(
            "high_ticks is the highest price",
            pl.col("high_ticks") >= pl.max_horizontal("open_ticks", "low_ticks", "close_ticks"),
            ("high_ticks", "open_ticks", "low_ticks", "close_ticks"),
        ),
        Rule(
            "low_ticks is the lowest price",
            pl.col("low_ticks") <= pl.min_horizontal("open_ticks", "high_ticks", "close_ticks"),
            ("low_ticks", "open_ticks", "high_ticks", "close_ticks"),
        ),
        Rule(
            "a bar lasts one minute",
            pl.col("closes_at") - pl.col("opens_at") == pl.duration(minutes=1),
            ("opens_at", "closes_at"),
        ),
    ),
)


def _raw(name: str, meaning: str) -> Column:
    return text(name, meaning, null="the source has none")


REJECTED_BARS: Final = Table(
    name="rejected_bars",
    meaning="A row that is not a bar, as the source wrote it, with the reason. Rows have no key.",
    key=(),
    columns=(
        SYMBOL,
        SESSION_DATE.but(
            meaning="Session the row claims; else its UTC date, or that of the row before it."
        ),
        Column(
            name="source_row",
            dtype=pl.Int64(),
            unit="row number",
            meaning="Place of the row in its source.",
            low=0,
        ),
        text(
            "reason",
            "The first fault found, in the order of `engine.bars.RejectReason`.",
            choices=tuple(reason.value for reason in RejectReason),
        ),
        _raw("symbol_text", "Symbol as written."),
        _raw("opens_at_text", "Time as written."),
        _raw("open_text", "Open as written."),
        _raw("high_text", "High as written."),
        _raw("low_text", "Low as written."),
        _raw("close_text", "Close as written."),
        _raw("volume_text", "Volume as written."),
        _raw("trades_text", "Number of trades as written."),
        _raw("bid_text", "Bid as written."),
        _raw("ask_text", "Ask as written."),
        text("source", "Where the row came from, as `credence ingest` names it."),
    ),
)
