"""Stage `calibration`: whether beliefs have been coming true."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets import told
from assets.learned_history import learned_history
from assets.outcomes import outcomes
from assets.partitions import sessions_of
from assets.ports import LearningJournal, MarketStore, SessionJournals, Warehouse
from assets.standings import calibration_before, nights_done
from assets.tables import schema_check, stage_asset
from engine.learning.calibration import calibrate
from engine.learning.calibration_table import calibration_rows
from engine.learning.lessons import About, odds_changes
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """How well the beliefs are calibrated, and how many maps were earned."""
    whole = pl.col("bin") == 0
    return {
        "brier": pl.col("brier").mean(),
        "calibration_error": pl.col("calibration_error").mean(),
        "maps_earned": (whole & pl.col("is_map_earned")).sum(),
    }


@stage_asset("calibration", deps=[outcomes], pool="warehouse_write", numbers=numbers)
def calibration(
    context: dg.AssetExecutionContext,
    market: dg.ResourceParam[MarketStore],
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
    learning_journal: dg.ResourceParam[LearningJournal],
) -> dg.MaterializeResult[pl.DataFrame]:
    """Reliability tables, scores and maps per template and side, of sessions already over."""
    dates = [each.session_date for each in sessions_of(context.partition_keys, rules.session)]
    session_journals.refuse_untraded(dates)
    history = learned_history(market, dates, rules)
    law, enough = rules.learning.calibration, rules.beliefs.calibration_outcomes_min
    parts, learned = [calibration_before(warehouse, dates[0], rules)], {}
    for day in dates:
        known = history.through(history.forecasts, day)
        parts.append(calibration_rows(calibrate(known, law, outcomes_min=enough), day, rules))
        learned[day] = odds_changes(parts[-2], parts[-1], day)
    journalled = learning_journal.record(
        About.ODDS, learned, done_before=nights_done("calibration", warehouse, dates, rules)
    )
    rows = pl.concat(parts[1:])
    newest = rows.filter(pl.col("session_date") == dates[-1], pl.col("bin") == 0)
    shown = newest.select(
        *("template", "side", "outcomes", "p_win_mean", "win_rate", "brier", "brier_base"),
        *("calibration_error", "is_map_earned"),
    )
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "scores": told.table(shown),
            "nights_journalled": len(journalled),
            "nights_corrected": sum(each.corrects for each in journalled),
        },
    )


calibration_schema = schema_check("calibration")
