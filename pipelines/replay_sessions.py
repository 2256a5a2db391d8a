"""What a replay is asked for, and its sessions made ready to play, a chunk at a time."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from engine.decision import SCORE_STEP
from engine.desk import Mode, QuietBar, Recording, SessionOpened, is_quiet, quiet_bars
from engine.exchange import NO_FAULTS, FaultPlan
from engine.market import MarketRow, market_frame, market_rows
from engine.narrative import journal_text
from engine.own_view import Standing
from engine.rules import Rules
from pipelines.ahead import one_ahead

_FIRST_CHUNK_SESSIONS: Final = 32
"""Nothing can be played while the first chunk is computed, so it is small; each next is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What a replay is asked for; with `jumps` the bars that can do nothing are passed over, or
    taken a run at a time where each leaves its records.

    `resumes_killed` plays a person who resumes a killed desk before the next open. `has_odds` says
    that `standings`, or nights on the way, may bring odds: then a bar that only the score by the
    prior refuses may be an entry; `replay` sets it. The last two only trade memory for speed:
    sessions computed at once, and bars made ready after one that may be an entry, which is longer
    than any template holds a trade.
    """

    equity_usd: Decimal
    recording: Recording = Recording.FULL
    mode: Mode = Mode.REPLAY
    seed: int = 0
    faults: FaultPlan = NO_FAULTS
    standings: Mapping[str, Standing] = field(default_factory=dict)
    jumps: bool = True
    resumes_killed: bool = False
    has_odds: bool = False
    chunk_sessions: int = 128
    window_bars: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedSession:
    """One session ready to play.

    `rows` may leave out bars that only a longer trade would need. `told` has every bar where the
    journal wants them all, and `busy` the places of those that are not quiet, and the end.
    """

    opened: SessionOpened
    height: int
    rows: list[MarketRow]
    told: list[QuietBar]
    busy: list[int]
    frames: pl.DataFrame
    start: int

    @property
    def frame(self) -> pl.DataFrame:
        """The market frame of this session alone; cut out when asked for, for it is wide."""
        return self.frames.slice(self.start, self.height)

    def between(self, after: int, before: int) -> list[MarketRow]:
        """The rows of the minutes between two minutes, both excluded."""
        minute = pl.col("minute")
        return market_rows(self.frame.filter((minute > after) & (minute < before)))

    def quiet_until(self, place: int) -> int:
        """The end of the run of quiet bars that begins at a place, which may be that place."""
        return self.busy[bisect_left(self.busy, place)]


def jumps_of(settings: ReplaySettings) -> bool:
    """Whether bars need not be stepped through one by one: never where each may meet a fault."""
    return settings.jumps and not settings.faults.rates


def played_sessions(
    contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules, settings: ReplaySettings
) -> Iterator[PlayedSession]:
    """The sessions in order, computed a chunk at a time, and ahead where a core is free for it."""
    for chunk in one_ahead(_chunks(contexts, bars, rules, settings)):
        yield from chunk


def _chunks(
    contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules, settings: ReplaySettings
) -> Iterator[list[PlayedSession]]:
    first_bars = bars.group_by("session_date", maintain_order=True)
    sessions = first_bars.agg(pl.first("symbol", "opens_at", "minute"), pl.len().alias("height"))
    minutes = contexts.select("session_date", "symbol", "session_minutes")
    known = sessions.join(minutes, on=["session_date", "symbol"], how="left", maintain_order="left")
    start = place = 0
    size = min(_FIRST_CHUNK_SESSIONS, settings.chunk_sessions)
    while place < known.height:
        chunk = known.slice(place, size)
        place, size = place + size, min(2 * size, settings.chunk_sessions)
        height = int(chunk["height"].sum())
        frame = market_frame(contexts, bars.slice(start, height), rules)
        start += height
        yield list(_played(frame, chunk, rules, settings))


def _played(
    frame: pl.DataFrame, sessions: pl.DataFrame, rules: Rules, settings: ReplaySettings
) -> Iterator[PlayedSession]:
    is_full, jumps = settings.recording is Recording.FULL, jumps_of(settings)
    if is_full:
        frame = journal_text(frame, rules)
    wanted = _is_near_an_entry(rules, settings)
    told: list[QuietBar] = []
    busy: list[int] = []
    if is_full and jumps:
        wanted |= ~is_quiet(rules)
        told = quiet_bars(frame)
        busy = frame.select((~is_quiet(rules)).arg_true()).to_series().to_list()
    by_date: dict[date, list[MarketRow]] = {}
    for row in market_rows(frame.filter(wanted) if jumps else frame):
        by_date.setdefault(row.session_date, []).append(row)
    start = 0
    for session in sessions.iter_rows(named=True):
        height = session["height"]
        end = start + height
        inside = busy[bisect_left(busy, start) : bisect_left(busy, end)]
        yield PlayedSession(
            opened=_opened(session, settings),
            height=height,
            rows=by_date.pop(session["session_date"], []),
            told=told[start:end],
            busy=[*(place - start for place in inside), height],
            frames=frame,
            start=start,
        )
        start = end


def _is_near_an_entry(rules: Rules, settings: ReplaySettings) -> pl.Expr:
    """Bars that may be an entry or kill, and those after them that a trade would live through."""
    starts = pl.col("may_enter") | (pl.col("dvs") < rules.constitution.dvs_kill_below)
    if settings.has_odds:
        starts |= pl.col("market_step") == SCORE_STEP
    lately = starts.cast(pl.Int8).rolling_max(settings.window_bars + 1, min_samples=1)
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
