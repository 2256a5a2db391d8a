"""Stage `quality`: the data validity score of every bar, and its checks before the open."""

from typing import Final

import dagster as dg
import polars as pl

from assets.context import session_context
from assets.partitions import SESSIONS, sessions_of
from assets.pictures import markdown_image, quality_picture
from assets.ports import MarketStore
from assets.tables import own_rows, schema_check, stage_asset
from engine.context import join_context
from engine.quality import add_quality
from engine.rules import Rules

DOUBTFUL_SHARE_MAX: Final = 0.25
"""Share of a session's bars that may be below the entry gate; more is a broken feed."""


@stage_asset("quality", ins={"contexts": dg.AssetIn(session_context.key)})
def quality(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """DVS of each bar with the events that lowered it; defined in `engine.quality`."""
    frame = add_quality(join_context(bars, contexts), rules)
    entry_min = rules.constitution.dvs_entry_min
    newest = pl.col("session_date") == pl.col("session_date").max()
    picture = quality_picture(bars.filter(newest), frame.filter(newest), entry_min=entry_min)
    return dg.MaterializeResult(
        value=own_rows("quality", frame),
        metadata={
            "dvs_min": frame.select(pl.col("dvs").min()).item(),
            "below_entry_share": frame.select((pl.col("dvs") < entry_min).mean()).item(),
            "dvs_timeline": dg.MetadataValue.md(markdown_image(picture, "price and DVS")),
        },
    )


quality_schema = schema_check("quality")


@dg.asset_check(asset=quality, blocking=True, partitions_def=SESSIONS)
def dvs(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """How much of each session is good enough to enter, to hold and to stay up."""
    sessions = sessions_of(context.op_execution_context.partition_keys, rules.session)
    first, last = sessions[0].session_date, sessions[-1].session_date
    rows = market.read("quality", rules.instrument.symbol, first, last)
    law = rules.constitution
    per_session = rows.group_by("session_date").agg(
        below_entry=(pl.col("dvs") < law.dvs_entry_min).mean(),
        below_hold=(pl.col("dvs") < law.dvs_hold_min).mean(),
        below_kill=(pl.col("dvs") < law.dvs_kill_below).mean(),
    )
    worst = per_session.sort("below_entry").row(-1, named=True)
    events = rows.select(pl.col("quality_events").str.split(",").explode()).filter(
        pl.col("quality_events") != ""
    )
    counts = dict(events.group_by("quality_events").len().sort("quality_events").iter_rows())
    return dg.AssetCheckResult(
        passed=worst["below_entry"] <= DOUBTFUL_SHARE_MAX and worst["below_kill"] == 0.0,
        description=f"worst session {worst['session_date']}: {worst['below_entry']:.1%} of its "
        f"bars below the entry gate {law.dvs_entry_min}, {worst['below_kill']:.1%} below the kill "
        "line",
        metadata={
            "dvs_mean": rows.select(pl.col("dvs").mean()).item(),
            "dvs_min": rows.select(pl.col("dvs").min()).item(),
            "below_entry_share_worst": worst["below_entry"],
            "below_hold_share_worst": worst["below_hold"],
            "below_kill_share_worst": worst["below_kill"],
            "worst_window": _worst_window(rows),
            **{f"event_{name}": count for name, count in counts.items()},
        },
    )


def _worst_window(rows: pl.DataFrame) -> str:
    worst = rows.sort("dvs", "closes_at").row(0, named=True)
    when = f"{worst['closes_at']:%Y-%m-%d %H:%M} UTC"
    return f"{when}: DVS {worst['dvs']:.2f} {worst['quality_events']}"
