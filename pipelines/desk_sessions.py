"""The sessions of one home: traded as the settings say, or rehearsed on books of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import dagster as dg
import polars as pl

from assets.ports import BarSource, MarketStore
from contracts.calendar import session_on
from engine.bars import check_bars
from engine.broker import LiveBroker
from engine.calendar import Session
from engine.desk import Mode
from engine.errors import NotAuthorised, SourceError
from engine.journal import Event, Kind
from engine.own_view import Standing
from engine.rules import Rules
from pipelines.alerts import Outbox, alerts_told
from pipelines.journal_files import take_the_place
from pipelines.journal_store import JournalReader
from pipelines.preopen_state import preopen_state
from pipelines.session.authority import LiveConsent
from pipelines.session.files import SessionFiles
from pipelines.session.plan import SessionPlan, SessionResult
from pipelines.session.run import SessionRun
from pipelines.session_journals import HomeJournals
from pipelines.session_request import NotGreen
from pipelines.storage import Home

HISTORY_SESSIONS: Final = 5
"""Stored sessions before the rehearsed one that its gateway can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One session that was played, and the journal that tells of it."""

    session_date: date
    ending: str
    journal: Path
    digest: str
    bars: pl.DataFrame

    def events(self, *kinds: Kind) -> Sequence[Event]:
        """The session's events in its journal, of these kinds."""
        reader = JournalReader(self.journal)
        return list(reader.events(session_date=self.session_date, kinds=kinds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a rehearsal's broker plays: bars with their history, and the account at the open."""

    bars: pl.DataFrame
    session_date: date
    equity_usd: Decimal
    seed: int
    speed: str


PlayedBroker = Callable[[Stage, Rules], AbstractContextManager[LiveBroker]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSessions:
    """Runs the desk of one home, and rehearses sessions beside it.

    `standings` says what was learned before a session; a rehearsal is played under none. `broker`
    makes the one that the settings name, `played` one that plays a stage. `outboxes` tell a person
    what the run journals; of a rehearsal nobody is told.
    """

    home: Home
    rules: Rules
    market: MarketStore
    source: BarSource
    mode: Mode
    live_account: str | None
    standings: Callable[[date], Mapping[str, Standing]]
    broker: Callable[[], LiveBroker]
    played: PlayedBroker
    outboxes: Callable[[], Sequence[Outbox]]

    def run(
        self,
        session_date: date,
        *,
        instance: dg.DagsterInstance,
        confirmed_account: str | None,
        told: Callable[[str], None],
    ) -> Played:
        """Trade a session as the settings say.

        Raises `NotAuthorised` before a green preopen, and what `SessionRun.run` raises.
        """
        preopen = preopen_state(instance, session_date, self.rules.contracts_hash)
        if isinstance(preopen, NotGreen):
            raise NotAuthorised(f"the session expected a green preopen: {preopen.why}")
        files = SessionFiles(home=self.home.root)
        session = session_on(session_date, self.rules.session)
        consent = LiveConsent(account=self.live_account, confirmed_account=confirmed_account)
        learned = self.standings(session_date)
        plan = SessionPlan(mode=self.mode, session=session, standings=learned, consent=consent)
        with alerts_told(self.outboxes()):
            result = self._run(plan, files, self.broker(), told)
        return _played(result, result.journal)

    def rehearse(
        self,
        session_date: date,
        *,
        equity_usd: Decimal,
        seed: int,
        speed: str,
        told: Callable[[str], None],
    ) -> Played:
        """Play one session on paper; its journal takes the place of an earlier rehearsal's.

        Raises `SourceError` when neither the store nor the source has bars of the session.
        """
        session = session_on(session_date, self.rules.session)
        stage = Stage(
            bars=self._bars(session),
            session_date=session_date,
            equity_usd=equity_usd,
            seed=seed,
            speed=speed,
        )
        plan = SessionPlan(mode=Mode.PAPER, session=session, is_rehearsal=True)
        kept = HomeJournals(home=self.home, rules=self.rules).rehearsed(session_date)
        with self._books() as books, self.played(stage, self.rules) as broker:
            result = self._run(plan, SessionFiles(home=books), broker, told)
            take_the_place(kept, result.journal)
        return _played(result, kept)

    def _run(
        self,
        plan: SessionPlan,
        files: SessionFiles,
        broker: LiveBroker,
        told: Callable[[str], None],
    ) -> SessionResult:
        return SessionRun(
            plan,
            files=files,
            rules=self.rules,
            market=self.market,
            broker=broker,
            told=told,
            interrupted_by=(dg.DagsterExecutionInterruptedError,),
        ).run()

    @contextmanager
    def _books(self) -> Iterator[Path]:
        """A home for one rehearsal: its own lock, levers, heartbeat and journal."""
        self.home.aside.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.home.aside, prefix="rehearsal-") as folder:
            yield Path(folder)

    def _bars(self, session: Session) -> pl.DataFrame:
        """The stored bars of the session and some before it; else the source's, as it has them."""
        symbol, day = self.rules.instrument.symbol, session.session_date
        stored = [each for each in self.market.session_dates("bars", symbol) if each <= day]
        if day in stored:
            return self.market.read("bars", symbol, stored[-HISTORY_SESSIONS:][0], day)
        raw = self.source.read(symbol, day, day)
        bars = check_bars(raw, self.rules.instrument, [session]).bars
        if bars.is_empty():
            raise SourceError(
                f"no bars of {day} are stored and {self.source.name} has none; ingest the session, "
                "or rehearse one that is there"
            )
        return bars


def _played(result: SessionResult, journal: Path) -> Played:
    return Played(
        session_date=result.session_date,
        ending=result.ending.value,
        journal=journal,
        digest=result.digest,
        bars=result.bars,
    )
