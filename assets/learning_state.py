"""Stage `learning_state`: how far each template is trusted from the next session on."""

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg
import polars as pl

from assets import told
from assets.attribution import attribution
from assets.learned_history import LearnedHistory, learned_history
from assets.made_from import (
    OF_BARS,
    OF_JOURNAL,
    OF_NIGHT,
    bars_of,
    beside,
    digest_of_night,
    night_before,
)
from assets.partitions import NIGHT_BEFORE, sessions_of
from assets.ports import LearningJournal, MarketStore, SessionJournals, Warehouse
from assets.standings import nights_done, refuse_forgetting, state_before
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from assets.trades import trades as traded
from engine.journal import Kind
from engine.learning.conduct import opened_under
from engine.learning.learning_state import Night, next_learning
from engine.learning.lessons import About
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """How many templates may trade."""
    own = pl.col("trust").is_not_null()
    return {
        "quarantined": (own & pl.col("is_quarantined")).sum(),
        "modifier": pl.col("modifier").mean(),
    }


@stage_asset(
    "learning_state",
    ins={"trades": dg.AssetIn(traded.key)},
    # Trust reads no cause; but a night with a state is one whose trades are explained.
    deps=[attribution, dg.AssetDep("learning_state", partition_mapping=NIGHT_BEFORE)],
    pool="warehouse_write",
    numbers=numbers,
)
def learning_state(
    context: dg.AssetExecutionContext,
    trades: pl.DataFrame,
    market: dg.ResourceParam[MarketStore],
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
    learning_journal: dg.ResourceParam[LearningJournal],
) -> dg.MaterializeResult[pl.DataFrame]:
    """Trust in each template after the session, from that of the night before."""
    dates = [each.session_date for each in sessions_of(context.partition_keys, rules.session)]
    session_journals.refuse_untraded(dates)
    refuse_forgetting(warehouse, dates, rules, traded=session_journals.traded_dates())
    history = learned_history(market, dates, rules)
    before, parts = state_before(warehouse, dates[0], rules), []
    learned = {}
    for day in dates:
        night = _night(before, trades, history, day, session_journals)
        for change in night.changes:
            context.log.warning("%s: %s", day, change.text)
        before, learned[day] = night.state, night.changes
        parts.append(night.state)
    journalled = learning_journal.record(
        About.TRUST,
        learned,
        done_before=nights_done("learning_state", warehouse, dates, rules),
    )
    for lesson in journalled:
        if lesson.corrects:
            context.log.warning("%s: the night was corrected", lesson.session_date)
    _say_made_from(context, session_journals, dates)
    rows = pl.concat(parts)
    trusted = parts[-1].filter(pl.col("trust").is_not_null())
    shown = trusted.select(
        *("template", "trust", "trigger", "modifier", "results", "win_rate", "expectancy_r"),
    )
    changes = rows.filter(pl.col("change") != "").select("session_date", "template", "change")
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "trust": told.table(shown),
            "changes": told.table(changes),
            "nights_journalled": len(journalled),
            "nights_corrected": sum(each.corrects for each in journalled),
        },
    )


def _say_made_from(
    context: dg.AssetExecutionContext, journals: SessionJournals, dates: Sequence[date]
) -> None:
    """Keep with each night what it found, so that a correction of it is noticed."""
    bars = bars_of(context.instance, beside(context.asset_key, "bars"), [str(day) for day in dates])
    seals = journals.seals(dates)
    before = night_before(context.instance, context.asset_key, dates[0])
    for day in dates:
        sealed = {OF_JOURNAL: seals[day]} if day in seals else {}
        made_from = {OF_NIGHT: digest_of_night(before), OF_BARS: bars[str(day)], **sealed}
        context.add_asset_metadata(made_from, context.asset_key, str(day))
        before = made_from


def _night(
    before: pl.DataFrame,
    trades: pl.DataFrame,
    history: LearnedHistory,
    day: date,
    journals: SessionJournals,
) -> Night:
    shadows = history.shadows(day, opened_under(journals.events(day, Kind.SESSION)))
    return next_learning(before, history.on(trades, day), shadows, day, history.rules)


learning_state_schema = schema_check("learning_state")


@session_check(learning_state)
def learning_follows_from_the_night_before(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """The stored state is what follows from the stored night before and the stored session.

    It fails where an earlier night was done again, with another result, and this one was not.
    """
    sessions = sessions_in(context, rules)
    dates = [session.session_date for session in sessions]
    history = learned_history(market, dates, rules)
    trades, stored = (
        stored_rows(warehouse, name, sessions, rules) for name in ("trades", "learning_state")
    )
    before, stale = state_before(warehouse, dates[0], rules), []
    for day in dates:
        again = _night(before, trades, history, day, session_journals).state
        own = history.on(stored, day)
        order = ["template", "regime", "phase"]
        if not own.sort(order).equals(again.sort(order)):
            stale.append(str(day))
        before = own
    advice = f"; materialise again from {stale[0]} on" if stale else ""
    return dg.AssetCheckResult(
        passed=not stale,
        description=f"{len(dates) - len(stale)} of {len(dates)} nights follow from the one before"
        f"{advice}",
        metadata={"nights": len(dates), "stale": len(stale)},
    )
