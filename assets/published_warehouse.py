"""Stage `warehouse`: the copy of everything that readers may keep open."""

import dagster as dg

from assets import told
from assets.decisions import decisions
from assets.executions import executions
from assets.ports import Warehouse
from assets.session_report import session_report
from assets.tables import OWNERS

TABLES_AND_ROWS = (
    "SELECT table_name, estimated_size AS rows FROM duckdb_tables() ORDER BY table_name"
)


@dg.asset(
    group_name="warehouse",
    description="A read-only copy of the warehouse, made after each session's tables are written: "
    "open it in a notebook or with `duckdb -readonly` for as long as you like. It never blocks the "
    "desk, and the next copy takes its place without disturbing who reads this one.",
    kinds={"duckdb"},
    owners=list(OWNERS),
    deps=[decisions, executions, session_report],
    pool="warehouse_write",
)
def published_warehouse(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Copies the warehouse beside itself."""
    path = warehouse.publish()
    rows = warehouse.query(TABLES_AND_ROWS)
    return dg.MaterializeResult(
        metadata={
            "tables": told.table(rows),
            "bytes": path.stat().st_size,
            "path": dg.MetadataValue.path(str(path)),
        }
    )
