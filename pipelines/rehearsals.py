"""Rehearsals: stored sessions through the desk on the simulated exchange, one journal each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl

from engine.journal import Broken, Event, Kind, Verified
from engine.rules import Rules
from pipelines.journal_files import write_fresh_journal
from pipelines.journal_store import JournalReader
from pipelines.replay import ReplaySettings, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedSession:
    """What one rehearsal came to."""

    journal: Path
    digest: str
    events: int
    actions: Mapping[str, int]
    reasons: Mapping[str, int]
    exits: Mapping[str, int]
    equity_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRehearsals:
    """The rehearsals of one data home and instrument."""

    folder: Path
    rules: Rules

    def play(
        self,
        session_date: date,
        contexts: pl.DataFrame,
        bars: pl.DataFrame,
        *,
        equity_usd: Decimal,
        seed: int,
    ) -> RehearsedSession:
        """Play one session; its journal takes the place of an earlier one when it is whole."""
        path = self.path(session_date)
        settings = ReplaySettings(equity_usd=equity_usd, seed=seed)
        result = write_fresh_journal(
            path,
            self.folder.parent / ".aside",
            lambda sink: replay(contexts, bars, self.rules, settings, sink=sink),
        )
        return RehearsedSession(
            journal=path,
            digest=result.digest,
            events=result.events,
            actions=result.actions,
            reasons=result.reasons,
            exits=result.exits,
            equity_usd=result.equity_usd[session_date],
        )

    def events(self, session_date: date, *kinds: Kind) -> Sequence[Event]:
        """Events of the session's journal, all kinds if none is named."""
        return list(JournalReader(self.path(session_date)).events(kinds=kinds))

    def verify(self, session_date: date) -> Verified | Broken:
        """Follow the chain of the session's journal to the head that was left."""
        return JournalReader(self.path(session_date)).verify()

    def path(self, session_date: date) -> Path:
        """The journal of one session's rehearsal."""
        symbol = self.rules.instrument.symbol
        return self.folder / "rehearsals" / symbol / f"{session_date}.sqlite"
