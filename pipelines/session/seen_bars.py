"""What the desk saw of a session, from what it kept of it: for whoever stores its bars later."""

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from assets.as_seen import SEEN, is_as_seen
from assets.ports import MarketStore
from contracts.calendar import session_on
from engine.bars import BAR_COLUMNS
from engine.calendar import Session
from engine.desk import Mode
from engine.journal import Kind
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.session.bars import SessionBars
from pipelines.session.files import SessionFiles
from pipelines.session_journals import mode_that_tells


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskBars:
    """The bars of the sessions of one desk, by the same checks that the session made of them."""

    files: SessionFiles
    rules: Rules

    def of(self, session: Session) -> pl.DataFrame:
        """The bars that the desk decided, as it saw them; none where it traded none."""
        mode = mode_that_tells(self.files, self.rules.instrument.symbol, session.session_date)
        return pl.DataFrame(schema=BAR_COLUMNS) if mode is None else self._of(mode, session)

    def are_stored(self, session_date: date, market: MarketStore) -> bool:
        """Whether the stored bars of a session are what the desk saw, as far as it saw any."""
        seen = self.of(session_on(session_date, self.rules.session))
        symbol = self.rules.instrument.symbol
        return not seen.height or is_as_seen(
            market.read("bars", symbol, session_date, session_date), seen, self.rules
        )

    def _of(self, mode: Mode, session: Session) -> pl.DataFrame:
        instrument, day = self.rules.instrument, session.session_date
        folder = self.files.bars(mode, instrument.symbol, day)
        journal = self.files.journal(mode, instrument.symbol)
        if not folder.is_dir():
            return pl.DataFrame(schema=BAR_COLUMNS)
        events = JournalReader(journal).events(session_date=day, kinds=(Kind.DECISION,))
        decided = [datetime.fromisoformat(event.at) for event in events]
        bars = SessionBars(
            session,
            instrument,
            folder,
            source=SEEN,
            decided=decided,
            say=_is_told_again,
            is_ours=False,
        )
        return bars.frame.filter(pl.col("closes_at").is_in(decided))


def _is_told_again(_unread: str) -> None:
    """A line that a crash tore: the run that went on had its minute told again."""
