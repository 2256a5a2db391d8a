"""Stored tables: rows that fit their schema, and columns that follow from the bars to the bit."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Final

import polars as pl

from assets.prior_sessions import contexts_from
from assets.rows import ROWS_OF, Rows
from contracts.calendar import sessions_between
from contracts.schemas import MARKET_TABLES, validate
from engine.errors import SchemaError
from engine.market import market_frame
from pipelines.storage import DuckWarehouse
from pipelines.verification.finding import Finding, chunks, unjudged
from pipelines.wiring import Wiring

PATIENCE_SECONDS: Final = 3.0
"""How long a person is kept waiting for a warehouse that a run is writing to."""


def schema_finding(table: str, wiring: Wiring, session_date: date | None) -> Iterator[Finding]:
    """Whether a market table's rows fit their schema; nothing if none are stored."""
    dates = _stored_dates(table, wiring, session_date)
    if not dates:
        return
    rows = 0
    try:
        for days in chunks(dates):
            frame = wiring.market.read(table, wiring.settings.symbol, days[0], days[-1])
            rows += validate(table, frame).height
    except SchemaError as error:
        yield Finding(check="schema", subject=table, passed=False, evidence=str(error))
        return
    evidence = f"{rows:,} rows of {len(dates)} sessions"
    yield Finding(check="schema", subject=table, passed=True, evidence=evidence)


def parity_findings(
    wiring: Wiring, session_date: date | None, broken: AbstractSet[str]
) -> Iterator[Finding]:
    """Whether contexts and computed tables are what the stored bars make of them."""
    dates = {table: _stored_dates(table, wiring, session_date) for table in MARKET_TABLES}
    if dates["context"]:
        reason = unjudged("batch parity", "context", {"context", "bars"} & broken)
        yield reason or _context_finding(dates["context"], wiring)
    for table, rows_of in ROWS_OF.items():
        if dates[table]:
            reason = unjudged("batch parity", table, {table, "context", "bars"} & broken)
            yield reason or _parity_finding(table, rows_of, dates[table], wiring)


def _context_finding(dates: Sequence[date], wiring: Wiring) -> Finding:
    """Each stored context follows from the bars stored before its session."""
    symbol, rules = wiring.settings.symbol, wiring.rules
    sessions = sessions_between(dates[0], dates[-1], rules.session)
    wanted = [session for session in sessions if session.session_date in set(dates)]
    again = contexts_from(wiring.market, wanted, rules)
    stored = wiring.market.read("context", symbol, dates[0], dates[-1])
    return _compared("context", stored, again)


def _parity_finding(
    table: str,
    rows_of: Rows,
    dates: Sequence[date],
    wiring: Wiring,
) -> Finding:
    symbol, rules = wiring.settings.symbol, wiring.rules
    finding, rows = None, 0
    for days in chunks(dates):
        stored, bars, contexts = (
            wiring.market.read(name, symbol, days[0], days[-1]).filter(
                pl.col("session_date").is_in(days)
            )
            for name in (table, "bars", "context")
        )
        finding = _compared(table, stored, rows_of(market_frame(contexts, bars, rules), rules))
        if not finding.passed:
            return finding
        rows += stored.height
    evidence = f"{rows:,} rows of {len(dates)} sessions, equal to the bit"
    return Finding(check="batch parity", subject=table, passed=True, evidence=evidence)


def _compared(table: str, stored: pl.DataFrame, again: pl.DataFrame) -> Finding:
    """Stored rows against rows recomputed; names the first column and session that differ."""

    def found(evidence: str, *, passed: bool) -> Finding:
        return Finding(check="batch parity", subject=table, passed=passed, evidence=evidence)

    if stored.height != again.height:
        return found(f"{stored.height:,} rows stored, {again.height:,} recomputed", passed=False)
    for column in again.columns:
        differs = ~stored[column].eq_missing(again[column])
        if differs.any():
            day = stored["session_date"].filter(differs)[0]
            text = f"{column} differs on {differs.sum():,} rows, first of {day}; materialise again"
            return found(text, passed=False)
    return found(f"{stored.height:,} rows, equal to the bit", passed=True)


def desk_table_finding(table: str, wiring: Wiring, session_date: date | None) -> Finding:
    """Whether a desk table's rows fit their schema; raises `WarehouseBusy`."""
    first, last = session_date or date.min, session_date or date.max
    warehouse = DuckWarehouse(home=wiring.home, patience_seconds=PATIENCE_SECONDS)
    rows = warehouse.read(table, wiring.settings.symbol, first, last)
    try:
        validate(table, rows)
    except SchemaError as error:
        return Finding(check="schema", subject=table, passed=False, evidence=str(error))
    sessions = rows["session_date"].n_unique()
    evidence = f"{rows.height:,} rows of {sessions} sessions"
    return Finding(check="schema", subject=table, passed=True, evidence=evidence)


def _stored_dates(table: str, wiring: Wiring, session_date: date | None) -> list[date]:
    dates = wiring.market.session_dates(table, wiring.settings.symbol)
    return [day for day in dates if session_date in (None, day)]
