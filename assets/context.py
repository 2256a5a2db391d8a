"""Stage `context`: all that is known before the bell, from sessions already over."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import polars as pl

from assets import told
from assets.made_from import OF_BARS, bars_before, beside
from assets.partitions import FROM_PRIOR_SESSIONS, sessions_of
from assets.ports import MarketStore, SwitchNow, Warehouse
from assets.preopen_review import HISTORY_MIN
from assets.prior_sessions import contexts_from
from assets.report.preopen import PreopenMaterial, preopen_material, write_preopen_page
from assets.report.today import today
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from contracts.schemas import table as schema_of
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session starts from."""
    names = ("prior_sessions", "prior_close_ticks", "atr_seed_ticks", "median_range_ticks")
    return {name: pl.col(name).first() for name in names}


@stage_asset(
    "context",
    deps=[dg.AssetDep("bars", partition_mapping=FROM_PRIOR_SESSIONS)],
    numbers=numbers,
)
def session_context(
    context: dg.AssetExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """Levels, medians and seeds of the sessions before: one row, reviewed before the open."""
    bars = beside(context.asset_key, "bars")
    made_from = bars_before(context.instance, bars, context.partition_keys)
    rows = contexts_from(market, sessions_of(context.partition_keys, rules.session), rules)
    for key, digest in made_from.items():
        context.add_asset_metadata({OF_BARS: digest}, context.asset_key, key)
    return dg.MaterializeResult(
        value=rows,
        metadata={
            "known_of_newest": told.table(_explained(rows.tail(1))),
            "contracts_hash": rules.contracts_hash,
        },
    )


def _explained(row: pl.DataFrame) -> pl.DataFrame:
    """One context as a table: name, value, unit, meaning."""
    known = row.row(0, named=True)
    return pl.DataFrame(
        [
            (column.name, str(known[column.name]), column.unit, column.meaning)
            for column in schema_of("context").columns
            if known[column.name] is not None
        ],
        schema=["name", "value", "unit", "meaning"],
        orient="row",
    )


context_schema = schema_check("context")


@session_check(session_context)
def context_knows_only_the_past(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Each stored context equals the one made, by itself, from the bars stored before it."""
    sessions = sessions_in(context, rules)
    stored = stored_rows(market, "context", sessions, rules)
    different = []
    for session in sessions:
        again = contexts_from(market, [session], rules)
        kept = stored.filter(pl.col("session_date") == session.session_date)
        if not kept.select(again.columns).equals(again):
            different.append(str(session.session_date))
    advice = f"; materialise again: {', '.join(different[:5])}" if different else ""
    return dg.AssetCheckResult(
        passed=not different,
        description=f"{len(sessions) - len(different)} of {len(sessions)} contexts follow from the "
        f"bars before them{advice}",
        metadata={"contexts": len(sessions), "different": len(different)},
    )


@session_check(session_context)
def preopen_review(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    warehouse: dg.ResourceParam[Warehouse],
    rules: dg.ResourceParam[Rules],
    reports: dg.ResourceParam[Path],
    kill_switch: dg.ResourceParam[SwitchNow],
) -> dg.AssetCheckResult:
    """Great Expectations on the last session before the open against the twenty before it.

    Beside its verdict it leaves one page for a person: what came, what is wrong, what the desk
    will do about it.
    """
    session = sessions_in(context, rules)[-1]
    material = preopen_material(market, warehouse, session, rules, kill_switch())
    if material is None:
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"no session is stored before {session.session_date}: nothing to review",
        )
    page, details = write_preopen_page(material, reports)
    return _review_result(material, page, details)


def _review_result(material: PreopenMaterial, page: Path, details: Path) -> dg.AssetCheckResult:
    review = material.review
    failed = [each for each in review.findings if not each.passed]
    findings = pl.DataFrame(
        [
            (
                "yes" if each.passed else "NO",
                each.expectation.replace("_", " "),
                *(each.column, each.expected, each.observed),
            )
            for each in sorted(review.findings, key=lambda each: each.passed)
        ],
        schema=["passed", "expectation", "column", "expected", "observed"],
        orient="row",
    )
    history = (
        f"against {review.history} prior sessions"
        if review.history >= HISTORY_MIN
        else f"without distributions: {review.history} prior sessions, {HISTORY_MIN} are needed"
    )
    named = ", ".join(f"{each.column} {each.observed} ({each.expected})" for each in failed)
    return dg.AssetCheckResult(
        passed=review.passed,
        description=f"{material.reviewed.session_date}: {len(review.findings) - len(failed)} of "
        f"{len(review.findings)} expectations met, "
        f"{history}{'; not met: ' if failed else ''}{named}",
        metadata={
            "page": dg.MetadataValue.path(str(page)),
            "today": told.table(
                pl.DataFrame({"the_desk_today": [each.text for each in today(material)]})
            ),
            "findings": told.table(findings),
            "failed": len(failed),
            "data_docs": dg.MetadataValue.path(str(details)),
        },
    )
