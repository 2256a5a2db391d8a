"""What the four column stages share: one call of `market_frame`, and the two laws checked on disk.

Each stage stores its own columns of the same frame; there is no second implementation to drift.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

import dagster as dg
import polars as pl

from assets import told
from assets.ports import MarketStore
from assets.rows import Rows
from assets.tables import session_check, sessions_in, stored_rows
from engine.market import market_frame
from engine.rules import Rules

CUTS: Final = (0, 31, 149, 388)
"""Minutes at which causality is tested: first bar, warm-up, mid-session, last but one."""

SESSIONS_CUT_MAX: Final = 5
"""Newest sessions of a run whose causality is tested; parity covers all of them."""


def parity_check(table: str, rows_of: Rows) -> dg.AssetChecksDefinition:
    """A blocking check that the stored rows are what the engine makes of the stored bars."""

    @session_check(table, f"{table}_equal_recomputed")
    def check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """Stored rows equal the rows recomputed from the stored bars and contexts, to the bit."""
        sessions = sessions_in(context, rules)
        stored, bars, contexts = (
            stored_rows(market, name, sessions, rules) for name in (table, "bars", "context")
        )
        again = rows_of(market_frame(contexts, bars, rules), rules)
        different = _different_columns(stored, again)
        return dg.AssetCheckResult(
            passed=not different,
            description=f"{stored.height} stored rows, {again.height} recomputed"
            + (f"; different: {', '.join(different)}" if different else ", equal to the bit"),
            metadata={"rows": stored.height, "different_columns": len(different)},
        )

    return check


def causality_check(table: str, rows_of: Rows) -> dg.AssetChecksDefinition:
    """A blocking check that a stored row says what was known at its close and nothing later."""

    @session_check(table, f"{table}_are_causal")
    def check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored row at a cut equals the last row computed from the bars up to it alone."""
        sessions = sessions_in(context, rules)[-SESSIONS_CUT_MAX:]
        stored, bars, contexts = (
            stored_rows(market, name, sessions, rules) for name in (table, "bars", "context")
        )
        cuts = list(_cuts(bars))
        leaks: list[tuple[str, int, str]] = []
        for session_date, minute in cuts:
            day = pl.col("session_date") == session_date
            so_far = bars.filter(day & (pl.col("minute") <= minute))
            then = rows_of(market_frame(contexts.filter(day), so_far, rules), rules)
            closes_at = pl.col("closes_at") == so_far["closes_at"].max()
            different = _different_columns(stored.filter(closes_at), then.filter(closes_at))
            leaks += [(str(session_date), minute, column) for column in different]
        found = pl.DataFrame(leaks, schema=["session_date", "minute", "column"], orient="row")
        return dg.AssetCheckResult(
            passed=not leaks,
            description=f"{len(cuts)} cuts tested, {len(leaks)} values knew the future",
            metadata={
                "cuts": len(cuts),
                "leaks": len(leaks),
                **({"leaking": told.table(found.head(20))} if leaks else {}),
            },
        )

    return check


def _cuts(bars: pl.DataFrame) -> Iterator[tuple[date, int]]:
    """Session and minute of the bars at which causality is tested; a cut without a bar is none."""
    yield from bars.filter(pl.col("minute").is_in(CUTS)).select("session_date", "minute").rows()


def _different_columns(left: pl.DataFrame, right: pl.DataFrame) -> list[str]:
    if left.height != right.height:
        return [f"{left.height} rows instead of {right.height}"]
    return [
        column
        for column in right.columns
        if not left[column].equals(right[column], null_equal=True)
    ]
