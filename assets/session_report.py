"""Stage `session_report`: a session on one page, as a trader reads it in the morning."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import polars as pl

from assets import told
from assets.attribution import attribution
from assets.calibration import calibration
from assets.learning_state import learning_state
from assets.partitions import sessions_of
from assets.ports import MarketStore, SessionJournals, Warehouse
from assets.report.look_at import look_at
from assets.report.model import SessionMaterial, materials
from assets.report.pages import sha256_of, write_session_page
from assets.report.sections import veto_rows
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from contracts.schemas import columns_of
from engine.rules import Rules


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What a session came to."""
    return {
        "net_usd": pl.col("net_usd").cast(pl.Float64).sum().round(2),
        "refused_r": pl.col("refused_r").sum(),
        "to_look_at": pl.col("to_look_at").sum(),
    }


@stage_asset(
    "session_report",
    deps=[attribution, learning_state, calibration],
    pool="warehouse_write",
    numbers=numbers,
)
def session_report(
    context: dg.AssetExecutionContext,
    market: dg.ResourceParam[MarketStore],
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    reports: dg.ResourceParam[Path],
    searches: dg.ResourceParam[Path],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """Writes one self-contained page per session, and its numbers as a row.

    A run over many sessions shows the pictures of the newest only; each session links its page.
    """
    sessions = sessions_of(context.partition_keys, rules.session)
    rows, newest = [], sessions[-1].session_date
    for material in materials(
        market, warehouse, session_journals, sessions, rules, searches=searches
    ):
        row, path = write_session_page(material, reports)
        rows.append(row)
        shown = _shown(material) if material.day == newest else {}
        context.add_asset_metadata(
            {"page": dg.MetadataValue.path(str(path)), "headline": row["headline"], **shown},
            "session_report",
            str(material.day),
        )
    return dg.MaterializeResult(value=pl.DataFrame(rows, schema=columns_of("session_report")))


def _shown(
    material: SessionMaterial,
) -> Mapping[str, dg.MarkdownMetadataValue | dg.TableMetadataValue]:
    """What the UI shows of a session's page."""
    from assets.pictures import markdown_png
    from assets.report.page import calibration_png, session_png

    pictures = {"session": session_png(material), "beliefs": calibration_png(material)}
    findings = pl.DataFrame(
        [(each.gravity.word, each.text) for each in look_at(material)],
        schema=["gravity", "finding"],
        orient="row",
    )
    worth = pl.DataFrame(
        [
            (each["words"], each["setups"], each["wins"], each["net_r"])
            for each in veto_rows(material)
        ],
        schema=["refused_because", "setups", "would_have_won", "net_r"],
        orient="row",
    )
    return {
        **{
            name: dg.MetadataValue.md(markdown_png(png, name))
            for name, png in pictures.items()
            if png
        },
        "before_the_open": told.table(findings),
        "refusals": told.table(worth),
    }


session_report_schema = schema_check("session_report")


@session_check(session_report)
def pages_are_as_written(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    reports: dg.ResourceParam[Path],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Each page lies where its row says, byte for byte."""
    stored = stored_rows(warehouse, "session_report", sessions_in(context, rules), rules)
    wrong = [
        row["page"]
        for row in stored.iter_rows(named=True)
        if sha256_of(reports / row["page"]) != row["page_sha256"]
    ]
    advice = f"; write again: {', '.join(wrong[:3])}" if wrong else ""
    return dg.AssetCheckResult(
        passed=not wrong,
        description=f"{stored.height - len(wrong)} of {stored.height} pages are as they were "
        f"written{advice}",
        metadata={"pages": stored.height, "different": len(wrong)},
    )
