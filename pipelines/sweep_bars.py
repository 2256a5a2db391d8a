"""Bars of a sweep: stored ones, or straight from a source without storing ten years first."""

from datetime import date
from typing import Final

import polars as pl

from assets.ports import BarSource
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.context import session_contexts, session_summaries
from engine.errors import InputRefused
from engine.rules import Rules
from engine.zone import refuse_wrong_zone
from pipelines.stored_bars import StoredBars

FIRST_DATE: Final = date(2015, 1, 2)
LAST_DATE: Final = date(2024, 12, 31)
"""Ten years: what a source that has any date is asked for."""

SESSIONS_AT_ONCE: Final = 64


def bars_of_source(
    source: BarSource, rules: Rules, first_date: date | None, last_date: date | None
) -> StoredBars:
    """Checked bars of a source with the contexts they make.

    Raises `InputRefused` without one, `SourceError` when the rows look read in the wrong zone.
    """
    has = source.date_range() or (FIRST_DATE, LAST_DATE)
    wanted = (first_date or has[0], last_date or has[1])
    sessions = sessions_between(*wanted, rules.session)
    parts: list[pl.DataFrame] = []
    for start in range(0, len(sessions), SESSIONS_AT_ONCE):
        some = sessions[start : start + SESSIONS_AT_ONCE]
        raw = source.read(rules.instrument.symbol, some[0].session_date, some[-1].session_date)
        if raw.height:
            if not parts:
                refuse_wrong_zone(raw, some, source.name)
            parts.append(check_bars(raw, rules.instrument, some).bars)
    bars = pl.concat(parts) if parts else pl.DataFrame()
    if not bars.height:
        raise InputRefused(
            f"{source.name}: expected bars from {wanted[0]} to {wanted[1]}, found none; "
            "name other dates or another source"
        )
    days = set(bars["session_date"].unique())
    kept = [session for session in sessions if session.session_date in days]
    return StoredBars(
        session_dates=tuple(session.session_date for session in kept),
        bars=bars,
        contexts=session_contexts(session_summaries(bars, rules), kept, rules),
    )


def first_sessions(stored: StoredBars, sessions: int) -> StoredBars:
    """The first sessions alone."""
    return _chosen(stored, stored.session_dates[:sessions])


def newest_sessions(stored: StoredBars, sessions: int) -> StoredBars:
    """The newest sessions alone."""
    return _chosen(stored, stored.session_dates[-sessions:])


def _chosen(stored: StoredBars, dates: tuple[date, ...]) -> StoredBars:
    inside = pl.col("session_date").is_between(dates[0], dates[-1])
    return StoredBars(
        session_dates=dates,
        bars=stored.bars.filter(inside),
        contexts=stored.contexts.filter(inside),
    )
