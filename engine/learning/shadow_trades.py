"""Trades that a template would have made: how one in quarantine can show that it is better now.

They come from the counterfactual outcomes, with slippage and fees, under the limits that a real
trade would have met: one at a time, a pause between entries, so many a day.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl

from engine.outcomes import ExitKind
from engine.rules import Constitution, Rules, TemplateRules

SHADOW_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "template": pl.String(),
    "side": pl.Int8(),
    "decided_at": pl.Datetime("us", "UTC"),
    "regime": pl.String(),
    "phase": pl.Int8(),
    "stop_ticks": pl.Int32(),
    "target_ticks": pl.Int32(),
    "exit_kind": pl.String(),
    "bars_held": pl.Int32(),
    "ticks_net": pl.Float64(),
    "net_r": pl.Float64(),
}
"""Columns of shadow trades; `net_r` is the result after costs in multiples of the stop."""

_BAR: Final = timedelta(minutes=1)


def shadow_trades(frame: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`SHADOW_COLUMNS` of every template over a market frame and the `outcomes` of its bars.

    An entry is a bar on which the market alone would have let the template enter. One that could
    not be followed to its end is not counted. Sorted by template and instant.
    """
    kept: list[Mapping[str, Any]] = []
    for block in sorted(rules.strategies.templates, key=lambda block: block.id):
        entries = _entries(frame, block).join(
            outcomes, on=["symbol", "session_date", "closes_at", "template", "side"]
        )
        rows = entries.filter(pl.col("exit_kind") != ExitKind.NO_DATA.value).sort("closes_at")
        kept += _one_at_a_time(rows.iter_rows(named=True), rules.constitution)
    shadows = pl.DataFrame(kept, schema_overrides={"closes_at": pl.Datetime("us", "UTC")})
    if shadows.is_empty():
        return pl.DataFrame(schema=SHADOW_COLUMNS)
    net_r = pl.col("ticks_net") / pl.col("stop_ticks")
    named = shadows.with_columns(net_r=net_r, decided_at=pl.col("closes_at"))
    return named.select(pl.col(name).cast(kind) for name, kind in SHADOW_COLUMNS.items())


def _entries(frame: pl.DataFrame, block: TemplateRules) -> pl.DataFrame:
    name = block.id.lower()
    passes = (
        pl.col("may_enter") & (pl.col(f"{name}_side") != 0) & pl.col(f"{name}_reason").is_null()
    )
    return frame.filter(passes).select(
        "symbol",
        "session_date",
        "closes_at",
        "regime",
        pl.col("session_phase").alias("phase"),
        template=pl.lit(block.id),
        side=pl.col(f"{name}_side"),
    )


def _one_at_a_time(rows: Iterable[Mapping[str, Any]], law: Constitution) -> list[Mapping[str, Any]]:
    """Those a template could have made one after the other, within a session's limits."""
    pause = timedelta(minutes=law.minutes_between_entries_min)
    kept: list[Mapping[str, Any]] = []
    made: dict[date, int] = {}
    free_at: datetime | None = None
    for row in rows:
        day, at = row["session_date"], row["closes_at"]
        if made.get(day, 0) >= law.trades_per_day_max or (free_at is not None and at < free_at):
            continue
        kept.append(row)
        made[day] = made.get(day, 0) + 1
        free_at = at + max(pause, (row["bars_held"] + 1) * _BAR)
    return kept
