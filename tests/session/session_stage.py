"""A stage for session runs: a home with stored history, one session to play, a simulated broker."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
from replay_market import RULES, market

from contracts.calendar import session_on
from engine.calendar import Session
from engine.desk import Mode
from engine.exchange import exchange_settings
from engine.journal import Event, Kind
from engine.market import market_frame
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.gateway.tape import minutes_of
from pipelines.journal_store import JournalReader
from pipelines.session.files import SessionFiles
from pipelines.session.plan import SessionPlan, SessionResult
from pipelines.session.run import SessionRun
from pipelines.storage import Home, ParquetStore

SESSIONS = 8
NEW_YORK = ZoneInfo("America/New_York")
EXCHANGE = exchange_settings(RULES, Decimal(5000))


class Entering(NamedTuple):
    """A session, and the minute of its first bar that may be an entry."""

    session: Session
    entry_minute: int


@cache
def entering() -> Entering:
    """The generated session whose first entry is the earliest, with some history before it."""
    of = market(SESSIONS)
    days = of.contexts["session_date"].sort().to_list()
    known = of.bars.filter(pl.col("session_date") >= days[3])
    frame = market_frame(of.contexts, known, RULES).filter("may_enter")
    day, minute = frame.select("session_date", "minute").sort("minute").row(0)
    return Entering(session_on(day, RULES.session), minute)


def session() -> Session:
    return entering().session


def entry_minute() -> int:
    """The minute of the first bar that may be an entry."""
    return entering().entry_minute


def bars_of_session() -> pl.DataFrame:
    bars = market(SESSIONS).bars
    return bars.filter(pl.col("session_date") == session().session_date)


def clock_after(minutes: int) -> str:
    """New York time so many minutes after the entry is decided, as lines begin with it."""
    at = session().opens_at + timedelta(minutes=entry_minute() + 1 + minutes)
    return f"{at.astimezone(NEW_YORK):%H:%M} ET"


def stored_history(home: Path) -> ParquetStore:
    """A market store with every generated session before the one that is played."""
    store = ParquetStore(home=Home(root=home))
    bars = market(SESSIONS).bars.filter(pl.col("session_date") < session().session_date)
    for (day,), rows in bars.partition_by("session_date", as_dict=True).items():
        store.write("bars", rows, symbol="MES", session_date=day)
    return store


def simulated(
    *,
    minutes: int = 390,
    starts_at: datetime | None = None,
    kept: Path | None = None,
    account_id: str = "DU0000001",
    seconds_per_minute: float = 0.0,
) -> SimulatedLiveBroker:
    """The session's first minutes on a tape; time goes on after them."""
    return SimulatedLiveBroker(
        KeptExchange(EXCHANGE, kept),
        minutes_of(bars_of_session().head(minutes)),
        RULES.instrument,
        starts_at=starts_at or session().opens_at - timedelta(minutes=5),
        account_id=account_id,
        seconds_per_minute=seconds_per_minute,
    )


@dataclass
class SessionStage:
    """A home, and runs of the session on it."""

    home: Path
    lines: list[str] = field(default_factory=list)
    on_line: Callable[[str], None] = lambda line: None
    plan: SessionPlan = field(
        default_factory=lambda: SessionPlan(mode=Mode.PAPER, session=session())
    )

    def __post_init__(self) -> None:
        self.market = stored_history(self.home)
        self.files = SessionFiles(home=self.home)

    def made(self, broker: Any, **changes: Any) -> SessionRun:
        return SessionRun(
            replace(self.plan, **changes),
            files=self.files,
            rules=RULES,
            market=self.market,
            broker=broker,
            told=self._hear,
        )

    def run(self, broker: Any, **changes: Any) -> SessionResult:
        return self.made(broker, **changes).run()

    def events(self, *kinds: Kind) -> list[Event]:
        return list(JournalReader(self.journal).events(kinds=kinds))

    @property
    def journal(self) -> Path:
        return self.files.journal(self.plan.mode, "MES")

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        self.on_line(line)
