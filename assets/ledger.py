"""The ledger of a session as everybody judges it; without Dagster, for whoever asks by hand."""

from datetime import date

import polars as pl

from assets.ports import SessionJournals
from engine.learning.ledger_check import OF_BOOKS, LedgerDifference, ledger_difference
from engine.rules import Rules


def session_ledger(
    journals: SessionJournals,
    session_date: date,
    rules: Rules,
    *,
    executions: pl.DataFrame | None = None,
    trades: pl.DataFrame | None = None,
) -> LedgerDifference:
    """The stored rows of a session against the accounts in its journal, and people's word on it.

    Rows that are null are those that the journal makes. Raises `JournalError` without a journal.
    """
    return ledger_difference(
        journals.events(session_date, *OF_BOOKS),
        rules,
        executions=executions,
        trades=trades,
        before=journals.fills_before(session_date),
        accepted=journals.accepted(session_date),
    )
