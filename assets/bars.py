"""Stage `bars`: what the source delivered for a session, checked row by row."""

from collections.abc import Iterator
from typing import Final

import dagster as dg
import polars as pl

from assets.partitions import ALL_AT_ONCE, SESSIONS, sessions_of
from assets.ports import BarSource, MarketStore
from assets.tables import about, schema_check
from engine.bars import check_bars
from engine.calendar import Session
from engine.rules import Rules
from engine.zone import refuse_wrong_zone

COMPLETE_SHARE_MIN: Final = 0.9
"""Share of a session's minutes that must have a bar; real ES sessions have all of them."""


class IngestConfig(dg.Config):
    """Run configuration of ingestion."""

    replace_other_source: bool = False


@dg.multi_asset(
    name="ingest",
    group_name="bars",
    outs={
        "bars": dg.AssetOut(**about("bars")),
        "rejected_bars": dg.AssetOut(**about("rejected_bars")),
    },
    partitions_def=SESSIONS,
    backfill_policy=ALL_AT_ONCE,
)
def ingest(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: dg.ResourceParam[BarSource],
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> Iterator[dg.Output[pl.DataFrame]]:
    """Reads the source, keeps what is a bar, and keeps what is not with its reason."""
    sessions = sessions_of(context.partition_keys, rules.session)
    symbol, first, last = (
        rules.instrument.symbol,
        sessions[0].session_date,
        sessions[-1].session_date,
    )
    raw = source.read(symbol, first, last)
    refuse_wrong_zone(raw, sessions, source.name)
    checked = check_bars(raw, rules.instrument, sessions)
    _refuse_absent(sessions, checked.bars, source.name)
    if not config.replace_other_source:
        _refuse_other_source(market.read("bars", symbol, first, last), checked.bars)
    counts: dict[str, str | int] = {
        "source": source.name,
        "sessions": len(sessions),
        "outside_rth": checked.outside_rth,
    }
    yield dg.Output(checked.bars, output_name="bars", metadata={**counts})
    reasons = checked.rejected.group_by("reason").len("rows").sort("rows", descending=True)
    by_reason = {f"reason {row['reason']}": row["rows"] for row in reasons.to_dicts()}
    yield dg.Output(checked.rejected, output_name="rejected_bars", metadata=by_reason)


def _refuse_absent(sessions: list[Session], bars: pl.DataFrame, source: str) -> None:
    found = set(bars["session_date"].unique())
    absent = [str(each.session_date) for each in sessions if each.session_date not in found]
    if absent:
        raise dg.Failure(
            f"expected bars for {len(sessions)} sessions, but {source} has none for {len(absent)}: "
            f"{', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}. Nothing was written. "
            "Materialise only sessions that the source has, or set CREDENCE_SOURCE to one that "
            "has them.",
            metadata={"absent_sessions": absent},
        )


def _refuse_other_source(stored: pl.DataFrame, arriving: pl.DataFrame) -> None:
    """Bars of another source are never overwritten by accident: history would change silently."""
    kind = pl.col("source").str.split(":").list.first().unique()
    before, now = (sorted(frame.select(kind)["source"]) for frame in (stored, arriving))
    if before and before != now:
        raise dg.Failure(
            f"expected bars of the stored source {before}, but {now} arrived. Nothing was written. "
            "Set CREDENCE_SOURCE to the stored source, or run again with replace_other_source: "
            "true to replace it on purpose."
        )


bars_schema = schema_check("bars")
rejected_bars_schema = schema_check("rejected_bars")


@dg.asset_check(asset="bars", blocking=True, partitions_def=SESSIONS)
def bars_complete(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Whether each session has at least nine in ten of its minutes, by its own calendar."""
    sessions = sessions_of(context.op_execution_context.partition_keys, rules.session)
    bars = market.read(
        "bars", rules.instrument.symbol, sessions[0].session_date, sessions[-1].session_date
    )
    rows = dict(bars.group_by("session_date").len().iter_rows())
    shares = {
        str(each.session_date): rows.get(each.session_date, 0) / each.minutes for each in sessions
    }
    thin = {day: round(share, 3) for day, share in shares.items() if share < COMPLETE_SHARE_MIN}
    return dg.AssetCheckResult(
        passed=not thin,
        description=f"{len(sessions) - len(thin)} of {len(sessions)} sessions are complete",
        metadata={"share_min": min(shares.values()), "incomplete_sessions": thin},
    )
