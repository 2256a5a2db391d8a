"""What the four column stages share: one call of `market_frame`, and the two laws checked on disk.

Each stage stores its own columns of the same frame; there is no second implementation to drift.
"""

from collections.abc import Callable, Sequence
from typing import Final

import dagster as dg
import polars as pl

from assets.partitions import SESSIONS, sessions_of
from assets.ports import MarketStore
from assets.tables import own_rows
from engine.calendar import Session
from engine.market import market_frame
from engine.rules import Rules

CUTS: Final = (0, 31, 149, 388)
"""Minutes at which causality is tested: first bar, warm-up, mid-session, last but one."""

SESSIONS_CUT_MAX: Final = 5
"""Newest sessions of a run whose causality is tested; parity covers all of them."""

Rows = Callable[[pl.DataFrame, Rules], pl.DataFrame]
"""From a market frame to the rows of one table."""


def columns_of(table: str) -> Rows:
    """Rows of a table that is a selection of the frame's columns."""
    return lambda frame, _rules: own_rows(table, frame)


def parity_check(table: str, rows_of: Rows) -> dg.AssetChecksDefinition:
    """A blocking check that the stored rows are what the engine makes of the stored bars."""

    @dg.asset_check(
        asset=table, name=f"{table}_equal_recomputed", blocking=True, partitions_def=SESSIONS
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """Stored rows equal the rows recomputed from the stored bars and contexts, to the bit."""
        sessions = sessions_of(context.op_execution_context.partition_keys, rules.session)
        stored, bars, contexts = (
            _stored(name, market, sessions, rules) for name in (table, "bars", "context")
        )
        again = rows_of(market_frame(contexts, bars, rules), rules)
        different = _different_columns(stored, again)
        return dg.AssetCheckResult(
            passed=not different,
            description=f"{stored.height} stored rows, {again.height} recomputed"
            + (f"; different: {', '.join(different)}" if different else ", equal to the bit"),
            metadata={"rows": stored.height, "different_columns": different},
        )

    return check


def causality_check(table: str, rows_of: Rows) -> dg.AssetChecksDefinition:
    """A blocking check that a stored row says what was known at its close and nothing later."""

    @dg.asset_check(asset=table, name=f"{table}_are_causal", blocking=True, partitions_def=SESSIONS)
    def check(
        context: dg.AssetCheckExecutionContext,
        market: dg.ResourceParam[MarketStore],
        rules: dg.ResourceParam[Rules],
    ) -> dg.AssetCheckResult:
        """The stored row at a cut equals the last row computed from the bars up to it alone."""
        sessions = sessions_of(context.op_execution_context.partition_keys, rules.session)
        stored, bars, contexts = (
            _stored(name, market, sessions[-SESSIONS_CUT_MAX:], rules)
            for name in (table, "bars", "context")
        )
        leaks: list[str] = []
        tested = 0
        for session_date in bars["session_date"].unique().sort():
            day = pl.col("session_date") == session_date
            for cut in CUTS:
                so_far = bars.filter(day & (pl.col("minute") <= cut))
                if so_far.height:
                    tested += 1
                    rows = rows_of(market_frame(contexts.filter(day), so_far, rules), rules)
                    closes_at = so_far["closes_at"].max()
                    then, kept = (
                        frame.filter(pl.col("closes_at") == closes_at) for frame in (rows, stored)
                    )
                    leaks += [
                        f"{session_date} minute {cut}: {column}"
                        for column in _different_columns(kept, then)
                    ]
        return dg.AssetCheckResult(
            passed=not leaks,
            description=f"{tested} cuts tested, {len(leaks)} values knew the future",
            metadata={"cuts": tested, "leaks": leaks[:20]},
        )

    return check


def _stored(
    table: str, market: MarketStore, sessions: Sequence[Session], rules: Rules
) -> pl.DataFrame:
    first, last = sessions[0].session_date, sessions[-1].session_date
    dates = [session.session_date for session in sessions]
    rows = market.read(table, rules.instrument.symbol, first, last)
    return rows.filter(pl.col("session_date").is_in(dates))


def _different_columns(left: pl.DataFrame, right: pl.DataFrame) -> list[str]:
    if left.height != right.height:
        return [f"{left.height} rows instead of {right.height}"]
    return [
        column
        for column in right.columns
        if not left[column].equals(right[column], null_equal=True)
    ]
