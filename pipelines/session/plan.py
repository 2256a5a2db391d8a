"""What a session run is asked for, and what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import polars as pl

from engine.calendar import Session
from engine.desk import DeskState, Mode
from engine.own_view import Standing
from pipelines.session.authority import LiveConsent


class StopPolicy(StrEnum):
    """What to do with an open position when the run is told to stop before the close."""

    FLATTEN = "flatten"
    LEAVE_PROTECTED = "leave_protected"


class Ending(StrEnum):
    """How a run ended: the session is over, or it was told to stop before that."""

    CLOSED = "closed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One run: which session, in which mode, and what to do when it is told to stop.

    A position whose stop is working is left to the next run under `LEAVE_PROTECTED`; anything else
    that is alive is flattened all the same. Only a rehearsal is played without the session right
    before it: stored history may have holes.
    """

    mode: Mode
    session: Session
    standings: Mapping[str, Standing] = field(default_factory=dict)
    consent: LiveConsent = field(default_factory=LiveConsent)
    stop_policy: StopPolicy = StopPolicy.FLATTEN
    is_rehearsal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """What one run came to; actions and reasons count the session's decisions made in this run.

    `bars` and `rejected` are the whole session's, also those told before a restart; the Parquet
    files beside them hold the same. `decision_ms` is wall time from a bar told to its decision on
    disk, of the bars that were not missed; `decided_at` has readings of `perf_counter`, by the
    close of each bar decided in this run. `equity_usd` is null when the broker did not say.
    """

    ending: Ending
    mode: Mode
    session_date: date
    journal: Path
    digest: str
    events: int
    actions: Mapping[str, int]
    reasons: Mapping[str, int]
    exits: Mapping[str, int]
    equity_usd: Decimal | None
    state: DeskState
    bars: pl.DataFrame
    rejected: pl.DataFrame
    bars_path: Path
    rejected_path: Path
    decision_ms: tuple[float, ...]
    decided_at: Mapping[datetime, float]
