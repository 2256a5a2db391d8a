"""What `credence verify` asks of a data home: is every stored thing what it must be?

Nothing is repaired and nothing is skipped in silence: what cannot be judged says why.
"""

from collections.abc import Iterator
from datetime import date

from contracts.schemas import DESK_TABLES, MARKET_TABLES
from pipelines.journal_store import journal_paths
from pipelines.verification.finding import Finding
from pipelines.verification.journals import journal_findings
from pipelines.verification.tables import desk_table_finding, parity_findings, schema_finding
from pipelines.wiring import Wiring

__all__ = ["Finding", "verify_home"]


def verify_home(wiring: Wiring, session_date: date | None = None) -> Iterator[Finding]:
    """Every check on everything stored, or on what belongs to one session.

    What rows of a broken table would be compared with is not judged.
    """
    broken: set[str] = set()
    for table in MARKET_TABLES:
        for finding in schema_finding(table, wiring, session_date):
            yield finding
            if not finding.passed:
                broken.add(table)
    for path in journal_paths(wiring.journals):
        yield from journal_findings(path, wiring, session_date, broken)
    yield from parity_findings(wiring, session_date, broken)
    if wiring.home.warehouse.exists():
        for table in DESK_TABLES:
            yield desk_table_finding(table, wiring, session_date)
