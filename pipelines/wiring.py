"""One place that puts the parts of the desk together, for the CLI, Dagster and tests."""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from assets.ports import BarSource
from contracts import load_rules
from engine.desk import Mode
from engine.errors import JournalError
from engine.kill import KillSwitch
from engine.own_view import Standing
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.learning_journal import LearningJournal
from pipelines.session.files import SessionFiles
from pipelines.session.kill_switch import kill_switch_of, or_killed_by
from pipelines.session.seen_bars import DeskBars
from pipelines.session_journals import HomeJournals
from pipelines.settings import Settings, load_settings
from pipelines.sources import parse_source
from pipelines.storage import DuckWarehouse, Home, ParquetStore

if TYPE_CHECKING:
    from engine.broker import LiveBroker
    from pipelines.alerts import AlertBook, Outbox, Target
    from pipelines.desk_sessions import DeskSessions


def wall_clock() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Wiring:
    """The parts of one desk on one data home; each is made when first asked for.

    `clock` tells the sensors what time it is.
    """

    settings: Settings
    clock: Callable[[], datetime] = wall_clock

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The desk that the environment names; raises `SettingsError`."""
        return cls(settings=load_settings(os.environ if environ is None else environ))

    @cached_property
    def home(self) -> Home:
        return Home(root=self.settings.home, bucket_url=self.settings.market)

    @cached_property
    def rules(self) -> Rules:
        """The contracts as they were when this process first asked: a run has them to its end."""
        return self.rules_now()

    def rules_now(self) -> Rules:
        """The contracts as they are: what looks on for days sees a promotion."""
        return load_rules(self.settings.symbol, self.settings.contracts)

    @cached_property
    def source(self) -> BarSource:
        return parse_source(self.settings.source, self.settings.contracts)

    @cached_property
    def market(self) -> ParquetStore:
        return ParquetStore(home=self.home)

    @cached_property
    def warehouse(self) -> DuckWarehouse:
        return DuckWarehouse(home=self.home)

    @cached_property
    def reports(self) -> Path:
        return self.home.root / "reports"

    @cached_property
    def searches(self) -> Path:
        """Folder of the weekly searches."""
        return self.home.root / "evolution"

    @cached_property
    def journals(self) -> Path:
        return self.home.journals

    # ── The session ─────────────────────────────────────────────────────────────────────────────

    @cached_property
    def mode(self) -> Mode:
        return Mode(self.settings.mode)

    @cached_property
    def session_files(self) -> SessionFiles:
        return SessionFiles(home=self.home.root)

    @cached_property
    def session_journals(self) -> HomeJournals:
        return HomeJournals(home=self.home, rules=self.rules)

    @cached_property
    def seen(self) -> DeskBars:
        return DeskBars(files=self.session_files, rules=self.rules)

    @cached_property
    def learning_journal(self) -> LearningJournal:
        path = self.home.learning / f"{self.settings.symbol}.sqlite"
        return LearningJournal(path=path, rules=self.rules)

    @property
    def journal(self) -> Path:
        """The journal of the desk in the mode of the settings."""
        return self.session_files.journal(self.mode, self.settings.symbol)

    def kill_switch(self) -> KillSwitch:
        """The kill switch as the desk's journal leaves it; the file KILL kills as well.

        Raises `JournalError` for a journal that cannot be read.
        """
        path = self.journal
        try:
            switch = kill_switch_of(JournalReader(path)) if path.is_file() else KillSwitch()
        except (sqlite3.Error, ValueError) as error:
            raise JournalError(
                f"{path}: the desk's journal cannot be read ({error}), so nobody knows whether the "
                "desk is killed; restore the last good copy (credence verify says what is whole)"
            ) from error
        return or_killed_by(switch, self.session_files.kill_file)

    def standings(self, session_date: date) -> Mapping[str, Standing]:
        """Under what the desk opens a session: what the night of the last one it traded says.

        Raises `MissingContext` when that night, or one of those before it, has not been done.
        """
        from assets.standings import standings_for

        traded = self.session_journals.traded_dates()
        return standings_for(self.warehouse, session_date, self.rules, traded=traded)

    def live_broker(self) -> "LiveBroker":
        """A new, unconnected broker as the settings name it: IBKR, or the gateway that plays it."""
        from pipelines.brokers.ibkr import ClockKind, IbkrBroker, ibkr_settings

        settings = ibkr_settings(self.settings, wants_paper=self.mode is Mode.PAPER)
        if self.settings.broker == "gateway":
            settings = replace(settings, clock=ClockKind.TOLD)
        return IbkrBroker(settings, self.rules)

    @cached_property
    def sessions(self) -> "DeskSessions":
        from pipelines.desk_sessions import DeskSessions
        from pipelines.rehearsal_broker import gateway_broker

        return DeskSessions(
            home=self.home,
            rules=self.rules,
            market=self.market,
            source=self.source,
            mode=self.mode,
            live_account=self.settings.live_account,
            standings=self.standings,
            broker=self.live_broker,
            played=gateway_broker,
            outboxes=self.outboxes,
        )

    # ── Alerts ──────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def alert_book(self) -> "AlertBook":
        from pipelines.alerts import AlertBook

        path = self.home.journals / "alerts.sqlite"
        return AlertBook(path=path, contracts_hash=self.rules.contracts_hash)

    @cached_property
    def targets(self) -> "tuple[Target, ...]":
        from pipelines.alerts import targets_of

        return targets_of(self.settings.alerts)

    def outboxes(self) -> "Sequence[Outbox]":
        """What each target is told: the desk's journal in every mode, and the book of alerts."""
        from pipelines.alerts import Outbox

        modes = (Mode.OBSERVE, Mode.PAPER, Mode.LIVE)
        desks = {f"desk {mode}": self.session_journals.traded(mode) for mode in modes}
        journals = {**desks, "alerts": self.alert_book.path}
        folder = self.home.root / "alerts"
        return [Outbox(target=each, folder=folder, journals=journals) for each in self.targets]
