"""What a replay is asked for, and its sessions made ready to play, a chunk at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from engine.desk import Mode, Recording, SessionOpened
from engine.exchange import NO_FAULTS, FaultPlan
from engine.market import MarketRow, market_frame, market_rows
from engine.narrative import journal_text
from engine.own_view import Standing
from engine.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What a replay is asked for; `jumps` lets TRADES recording pass over bars that can do nothing.

    `resumes_killed` plays a person who resumes a killed desk before the next open. The last two
    only trade memory for speed: sessions computed at once, and bars made ready after one that may
    be an entry, which is longer than any template holds a trade.
    """

    equity_usd: Decimal
    recording: Recording = Recording.FULL
    mode: Mode = Mode.REPLAY
    seed: int = 0
    faults: FaultPlan = NO_FAULTS
    standings: Mapping[str, Standing] = field(default_factory=dict)
    jumps: bool = True
    resumes_killed: bool = False
    chunk_sessions: int = 128
    window_bars: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedSession:
    """One session ready to play; `rows` may leave out bars that only a longer trade would need."""

    opened: SessionOpened
    frame: pl.DataFrame
    rows: list[MarketRow]

    def between(self, after: int, before: int) -> list[MarketRow]:
        """The rows of the minutes between two minutes, both excluded."""
        minute = pl.col("minute")
        return market_rows(self.frame.filter((minute > after) & (minute < before)))


def jumps_of(settings: ReplaySettings) -> bool:
    """Whether bars may be passed over: never where each leaves a record or may meet a fault."""
    return settings.jumps and settings.recording is Recording.TRADES and not settings.faults.rates


def played_sessions(
    contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules, settings: ReplaySettings
) -> Iterator[PlayedSession]:
    """The sessions in order, computed a chunk at a time."""
    first_bars = bars.group_by("session_date", maintain_order=True)
    sessions = first_bars.agg(pl.first("symbol", "opens_at", "minute"), pl.len().alias("height"))
    minutes = contexts.select("session_date", "symbol", "session_minutes")
    known = sessions.join(minutes, on=["session_date", "symbol"], how="left", maintain_order="left")
    start = 0
    for chunk in known.iter_slices(settings.chunk_sessions):
        height = int(chunk["height"].sum())
        frame = market_frame(contexts, bars.slice(start, height), rules)
        start += height
        yield from _played(frame, chunk, rules, settings)


def _played(
    frame: pl.DataFrame, sessions: pl.DataFrame, rules: Rules, settings: ReplaySettings
) -> Iterator[PlayedSession]:
    if settings.recording is Recording.FULL:
        frame = journal_text(frame, rules)
    near = _is_near_an_entry(rules, settings.window_bars)
    by_date: dict[date, list[MarketRow]] = {}
    for row in market_rows(frame.filter(near) if jumps_of(settings) else frame):
        by_date.setdefault(row.session_date, []).append(row)
    start = 0
    for session in sessions.iter_rows(named=True):
        yield PlayedSession(
            opened=_opened(session, settings),
            frame=frame.slice(start, session["height"]),
            rows=by_date.pop(session["session_date"], []),
        )
        start += session["height"]


def _is_near_an_entry(rules: Rules, window_bars: int) -> pl.Expr:
    """Bars that may be an entry or kill, and those after them that a trade would live through."""
    starts = pl.col("may_enter") | (pl.col("dvs") < rules.constitution.dvs_kill_below)
    lately = starts.cast(pl.Int8).rolling_max(window_bars + 1, min_samples=1)
    return lately.over("session_date") == 1


def _opened(session: Mapping[str, Any], settings: ReplaySettings) -> SessionOpened:
    """The session as its first bar and its context describe it."""
    opens_at: datetime = session["opens_at"] - timedelta(minutes=session["minute"])
    return SessionOpened(
        at=opens_at,
        session_date=session["session_date"],
        symbol=session["symbol"],
        opens_at=opens_at,
        closes_at=opens_at + timedelta(minutes=session["session_minutes"]),
        mode=settings.mode,
        recording=settings.recording,
        standings=settings.standings,
    )
