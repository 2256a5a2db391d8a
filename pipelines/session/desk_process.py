"""A process that acts for the desk: its journal opened and folded, its broker beside it.

The session run is one, and so is a lever that finds no session alive.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from engine.broker import LiveBroker
from engine.calendar import Session
from engine.desk import DeskState, Mode, SessionClosed, fact_of
from engine.desk.facts import OperatorRefused
from engine.journal import Event, Kind, Stamp
from engine.rules import Rules
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.live_step import LiveStep
from pipelines.session.code_version import code_version
from pipelines.session.dealing import Dealing
from pipelines.session.files import SessionFiles
from pipelines.session.folding import fold_and_keep
from pipelines.session.lock import session_lock
from pipelines.session.narrate import line_of


@dataclass(slots=True, kw_only=True)
class DeskProcess:
    """The one process that may write the journal of a mode and symbol, while it holds the lock."""

    dealing: Dealing
    writer: JournalWriter
    rules: Rules
    say: Callable[[str], None]
    fresh: list[Event] = field(default_factory=list)
    last_decision: str | None = None
    exits: list[str] = field(default_factory=list)

    @property
    def state(self) -> DeskState:
        return self.dealing.state

    def tell_news(self) -> str | None:
        """Say what was journalled since the last call; returns the text of a refused command."""
        events, self.fresh[:] = [*self.fresh], []
        refusal = None
        for event in events:
            line = line_of(event, self.rules.instrument)
            if line is not None:
                self.say(line)
            if event.kind == Kind.DECISION:
                self.last_decision = line
            elif event.kind == Kind.OPERATOR:
                fact = fact_of(event)
                refusal = fact.text if isinstance(fact, OperatorRefused) else refusal
        return refusal


def closed_at(files: SessionFiles, mode: Mode, symbol: str, session_date: date) -> datetime | None:
    """When a session was closed in the journal; null while it was not."""
    path = files.journal(mode, symbol)
    if not path.is_file():
        return None
    events = JournalReader(path).events(session_date=session_date, kinds=(Kind.SESSION,))
    closed = [fact.at for fact in map(fact_of, events) if isinstance(fact, SessionClosed)]
    return closed[-1] if closed else None


def latest_session(files: SessionFiles, mode: Mode, symbol: str) -> date | None:
    """The session the journal was last in; null where there is none yet."""
    path = files.journal(mode, symbol)
    sessions = JournalReader(path).sessions() if path.is_file() else []
    return sessions[-1] if sessions else None


@contextmanager
def desk_process(
    files: SessionFiles,
    rules: Rules,
    broker: LiveBroker,
    *,
    what: str,
    mode: Mode,
    session: Session,
    contexts: pl.DataFrame,
    say: Callable[[str], None],
) -> Iterator[DeskProcess]:
    """Take the lock, fold the journal, and act; both are let go in the end, whatever happens.

    Raises `SessionBusy` when another process acts, `JournalError` for a journal that is broken.
    """
    symbol = rules.instrument.symbol
    path = files.journal(mode, symbol)
    with (
        session_lock(files, what=what, mode=mode, symbol=symbol, session_date=session.session_date),
        JournalWriter(path) as writer,
    ):
        state = fold_and_keep(files, mode, symbol, rules, head=writer.head, say=say)
        stamp = Stamp(session.session_date, rules.contracts_hash, code_version())
        fresh: list[Event] = []
        with closing(LiveStep(rules, contexts, writer, stamp, state, fresh.extend)) as live:
            yield DeskProcess(
                dealing=Dealing(live, broker), writer=writer, rules=rules, say=say, fresh=fresh
            )
