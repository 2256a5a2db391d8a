"""Stage `context`: all that is known before the bell, from sessions already over."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from assets.partitions import (
    FROM_PRIOR_SESSIONS,
    SESSIONS,
    sessions_of,
)
from assets.ports import MarketStore
from assets.preopen_review import HISTORY_MIN, Review, review_session
from assets.prior_sessions import PRIOR_SESSIONS, contexts_from
from assets.tables import schema_check, stage_asset
from contracts.calendar import session_on
from engine.rules import Rules


@stage_asset("context", deps=[dg.AssetDep("bars", partition_mapping=FROM_PRIOR_SESSIONS)])
def session_context(
    context: dg.AssetExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """Levels, medians and seeds of the sessions before: one row, reviewed before the open."""
    rows = contexts_from(market, sessions_of(context.partition_keys, rules.session), rules)
    newest = {name: str(value) for name, value in rows.row(-1, named=True).items()}
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "prior_sessions": rows["prior_sessions"][-1],
            "contracts_hash": rules.contracts_hash,
            "newest": dg.MetadataValue.json(newest),
        },
    )


context_schema = schema_check("context")


@dg.asset_check(asset=session_context, blocking=True, partitions_def=SESSIONS)
def context_knows_only_the_past(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Each stored context equals the one made, by itself, from the bars stored before it."""
    sessions = sessions_of(context.op_execution_context.partition_keys, rules.session)
    stored = market.read(
        "context", rules.instrument.symbol, sessions[0].session_date, sessions[-1].session_date
    )
    different = []
    for session in sessions:
        again = contexts_from(market, [session], rules)
        kept = stored.filter(pl.col("session_date") == session.session_date)
        if not kept.select(again.columns).equals(again):
            different.append(str(session.session_date))
    return dg.AssetCheckResult(
        passed=not different,
        description=f"{len(sessions) - len(different)} of {len(sessions)} contexts follow from the "
        "bars before them; materialise the others again",
        metadata={"different_sessions": different},
    )


@dg.asset_check(asset=session_context, blocking=True, partitions_def=SESSIONS)
def preopen_review(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
    reports: dg.ResourceParam[Path],
) -> dg.AssetCheckResult:
    """Great Expectations on the last session before the open against the twenty before it."""
    session = sessions_of(context.op_execution_context.partition_keys, rules.session)[-1]
    symbol = rules.instrument.symbol
    dates = [day for day in market.session_dates("bars", symbol) if day < session.session_date]
    if not dates:
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"no session is stored before {session.session_date}: nothing to review",
        )
    reviewed = session_on(dates[-1], rules.session)
    bars = market.read("bars", symbol, dates[-PRIOR_SESSIONS:][0], dates[-1])
    review = review_session(
        bars.filter(pl.col("session_date") == dates[-1]),
        bars.filter(pl.col("session_date") < dates[-1]),
        minutes=reviewed.minutes,
        price_band_share=rules.instrument.price_band_share,
    )
    page = reports / f"preopen-{symbol}-{session.session_date}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(review.page)
    return _review_result(review, page, dates[-1])


def _review_result(review: Review, page: Path, reviewed: date) -> dg.AssetCheckResult:
    failed = [each for each in review.findings if not each.passed]
    rows = [
        dg.TableRecord(
            {
                "passed": "yes" if each.passed else "NO",
                "expectation": each.expectation.replace("_", " "),
                "column": each.column,
                "expected": each.expected,
                "observed": each.observed,
            }
        )
        for each in review.findings
    ]
    history = (
        f"against {review.history} prior sessions"
        if review.history >= HISTORY_MIN
        else f"without distributions: {review.history} prior sessions, {HISTORY_MIN} are needed"
    )
    return dg.AssetCheckResult(
        passed=review.passed,
        description=f"{reviewed}: {len(review.findings) - len(failed)} of {len(review.findings)} "
        f"expectations met, {history}",
        metadata={
            "findings": dg.MetadataValue.table(rows),
            "failed": len(failed),
            "data_docs": dg.MetadataValue.path(str(page)),
        },
    )
