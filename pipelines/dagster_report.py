"""Tells the Dagster instance of a home about partitions that were written outside of a run."""

from pathlib import Path
from typing import Final

import dagster as dg

from assets.ingest import IngestedSession, IngestReport
from assets.made_from import BARS_CONTENT

ASSETS: Final = ("bars", "rejected_bars")


def report_ingested(dagster_home: Path, report: IngestReport) -> int:
    """Record a materialisation per asset and session that changed or that Dagster has not seen.

    Returns how many were recorded.
    """
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        events = [
            _materialisation(asset, session, report.source)
            for asset in ASSETS
            for known in [instance.get_materialized_partitions(dg.AssetKey(asset))]
            for session in report.sessions
            if session.changed or str(session.session_date) not in known
        ]
        for event in events:
            instance.report_runless_asset_event(event)
    return len(events)


def _materialisation(asset: str, session: IngestedSession, source: str) -> dg.AssetMaterialization:
    rows = session.bars if asset == "bars" else session.rejected
    told = {BARS_CONTENT: session.sha256} if asset == "bars" else {}
    content = {name: value for name, value in told.items() if value is not None}
    return dg.AssetMaterialization(
        asset_key=asset,
        description="Written by credence ingest.",
        partition=str(session.session_date),
        metadata={"source": source, "dagster/row_count": rows, **content},
    )
