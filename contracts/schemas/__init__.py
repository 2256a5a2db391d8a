"""One schema per stored table: columns, types, units, null policy and rules, in one place."""

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from contracts.schemas.attribution import attribution
from contracts.schemas.bars import BARS, REJECTED_BARS
from contracts.schemas.beliefs import beliefs
from contracts.schemas.candidates import candidates
from contracts.schemas.context import CONTEXT
from contracts.schemas.decisions import DECISIONS, EXECUTIONS
from contracts.schemas.events import EVENTS
from contracts.schemas.learning import calibration, learning_state
from contracts.schemas.outcomes import outcomes
from contracts.schemas.quality import QUALITY
from contracts.schemas.session_report import session_report
from contracts.schemas.signals import SIGNAL_ROWS
from contracts.schemas.sweep import SWEEP
from contracts.schemas.table import Column, Rule, Table
from contracts.schemas.trades import trades
from engine.errors import SchemaError

__all__ = [
    "DESK_TABLES",
    "JOURNAL_TABLES",
    "MARKET_TABLES",
    "TABLES",
    "Column",
    "Rule",
    "Table",
    "columns_of",
    "table",
    "validate",
]

_TABLES: Final[Mapping[str, Callable[[], Table]]] = {
    "bars": lambda: BARS,
    "rejected_bars": lambda: REJECTED_BARS,
    "context": lambda: CONTEXT,
    "quality": lambda: QUALITY,
    "signals": lambda: SIGNAL_ROWS,
    "beliefs": beliefs,
    "candidates": candidates,
    "outcomes": outcomes,
    "decisions": lambda: DECISIONS,
    "executions": lambda: EXECUTIONS,
    "trades": trades,
    "attribution": attribution,
    "learning_state": learning_state,
    "calibration": calibration,
    "session_report": session_report,
    "sweep": lambda: SWEEP,
    "events": lambda: EVENTS,
}

TABLES: Final = tuple(_TABLES)
"""Names of all stored tables, in the order of the data flow."""

MARKET_TABLES: Final = TABLES[:8]
"""Stored as Parquet, one file per symbol and session."""

DESK_TABLES: Final = (
    *("decisions", "executions"),
    *("trades", "attribution", "learning_state", "calibration", "session_report"),
    "sweep",
)
"""Stored in the warehouse."""

JOURNAL_TABLES: Final = ("events",)
"""Stored in the journal."""


def table(name: str) -> Table:
    """The schema of a table; raises `SchemaError` for a name without one."""
    if name not in _TABLES:
        raise SchemaError(f"expected a table of {', '.join(TABLES)}, got {name}; correct the name")
    return _TABLES[name]()


def columns_of(name: str) -> dict[str, pl.DataType]:
    """Type of each column of a table, in stored order."""
    return dict(table(name).dtypes)


def validate(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in stored column order; raises `SchemaError` naming column, rule and rows."""
    return table(name).validate(frame)
