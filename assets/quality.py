"""Stage `quality`: the data validity score of every bar, and its checks before the open."""

from collections.abc import Mapping
from typing import Final

import dagster as dg
import polars as pl

from assets import told
from assets.context import session_context
from assets.ports import MarketStore
from assets.rows import quality_rows
from assets.tables import (
    schema_check,
    session_check,
    sessions_in,
    stage_asset,
    stored_rows,
)
from engine.context import join_context
from engine.quality import add_quality
from engine.rules import Rules

DOUBTFUL_SHARE_MAX: Final = 0.25
"""Share of a session's bars that may be below the entry gate; more is a broken feed."""


def numbers(rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session's data is worth, against the gates of the constitution."""
    law, score = rules.constitution, pl.col("dvs")
    return {
        "dvs_mean": score.mean(),
        "dvs_min": score.min(),
        "below_entry_share": (score < law.dvs_entry_min).mean(),
        "below_hold_share": (score < law.dvs_hold_min).mean(),
        "below_kill_share": (score < law.dvs_kill_below).mean(),
    }


@stage_asset("quality", ins={"contexts": dg.AssetIn(session_context.key)}, numbers=numbers)
def quality(
    bars: pl.DataFrame, contexts: pl.DataFrame, rules: dg.ResourceParam[Rules]
) -> dg.MaterializeResult[pl.DataFrame]:
    """DVS of each bar with the events that lowered it; defined in `engine.quality`.

    A run over many sessions shows the picture of none of them: the check `dvs` shows the worst.
    """
    rows = quality_rows(add_quality(join_context(bars, contexts), rules), rules)
    one = rows["session_date"].n_unique() == 1
    pictures = {"price_and_dvs": _picture(bars, rows, rules)} if one else {}
    return dg.MaterializeResult(
        value=rows, metadata={**pictures, "events": told.table(event_counts(rows))}
    )


def event_counts(rows: pl.DataFrame) -> pl.DataFrame:
    """How many bars raised each quality event: event, bars."""
    events = rows.select(event=pl.col("quality_events").str.split(",").explode())
    return events.filter(pl.col("event") != "").group_by("event").len("bars").sort("event")


def _picture(bars: pl.DataFrame, rows: pl.DataFrame, rules: Rules) -> dg.MarkdownMetadataValue:
    from assets.pictures import markdown_image, quality_picture

    chart = quality_picture(
        bars,
        rows,
        entry_min=rules.constitution.dvs_entry_min,
        points_per_tick=float(rules.instrument.tick_size),
    )
    return dg.MetadataValue.md(markdown_image(chart, "price and DVS"))


quality_schema = schema_check("quality")


@session_check(quality)
def dvs(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """How much of each session is good enough to enter, to hold and to stay up."""
    sessions = sessions_in(context, rules)
    rows, bars = (stored_rows(market, name, sessions, rules) for name in ("quality", "bars"))
    per_session = rows.group_by("session_date").agg(**numbers(rules))
    if per_session.height < len(sessions):
        return dg.AssetCheckResult(
            passed=False,
            description=f"expected the quality of {len(sessions)} sessions, found "
            f"{per_session.height} stored; materialise it again",
        )
    worst = per_session.sort("below_entry_share", "dvs_min", descending=[True, False])
    worst_date, share, below_kill = worst.select(
        "session_date", "below_entry_share", "below_kill_share"
    ).row(0)
    of_worst = pl.col("session_date") == worst_date
    doubtful = rows.filter(of_worst & (pl.col("dvs") < 1.0))
    pictures = (
        {"worst_session": _picture(bars.filter(of_worst), rows.filter(of_worst), rules)}
        if doubtful.height
        else {}
    )
    return dg.AssetCheckResult(
        passed=share <= DOUBTFUL_SHARE_MAX and below_kill == 0.0,
        description=f"worst session {worst_date}: {share:.1%} of its bars below the entry gate "
        f"{rules.constitution.dvs_entry_min} (at most {DOUBTFUL_SHARE_MAX:.0%} may be), "
        f"{below_kill:.1%} below the kill line; worst bar {_worst_bar(rows)}",
        metadata={
            **pictures,
            "sessions": told.table(worst.head(20)),
            "events": told.table(event_counts(rows)),
            **{name: round(worst[name][0], 6) for name in numbers(rules)},
        },
    )


def _worst_bar(rows: pl.DataFrame) -> str:
    worst = rows.sort("dvs", "closes_at").row(0, named=True)
    when = f"{worst['closes_at']:%Y-%m-%d %H:%M} UTC"
    return f"{when}: DVS {worst['dvs']:.2f} {worst['quality_events']}".rstrip()
