"""Minutes from Interactive Brokers' history, through a running IB Gateway or TWS."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import PRICES, QUOTES, UTC_INSTANT
from engine.calendar import Session
from engine.errors import BrokerMismatch, RetryLater, SourceError
from pipelines.brokers.ibkr.history import HistoryBar
from pipelines.brokers.ibkr.history_reader import history_reader
from pipelines.brokers.ibkr.messages import ListedContract
from pipelines.brokers.ibkr.minute_bars import MINUTE
from pipelines.brokers.ibkr.pacing import PacingBudget
from pipelines.brokers.ibkr.settings import IbkrSettings, ibkr_settings
from pipelines.settings import load_settings

SESSIONS_KEPT: Final = 8
"""The same session is read twice by an ingest, and IB refuses the same question within seconds."""

KEPT_FOR: Final = timedelta(minutes=10)
"""So long a session read is good for the same ingest; a later one asks what it is by then."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _Kept(NamedTuple):
    """What was read of a session, and when."""

    read_at: datetime
    rows: pl.DataFrame

    def is_good_at(self, now: datetime, session: Session) -> bool:
        """Whether it was read a moment ago, and no minute of the session has closed since."""
        if now - self.read_at > KEPT_FOR:
            return False
        closed = [
            (min(at, session.closes_at) - session.opens_at) // MINUTE for at in (self.read_at, now)
        ]
        return closed[0] == closed[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class IbkrSource:
    """Regular sessions of the dated future that was traded on each of them, unadjusted.

    `settings` null reads the environment. IB keeps minutes of expired futures for two years. Of a
    session under way IB tells the minute that still grows too; by `now` it is left out.
    """

    contracts_folder: Path | None = None
    settings: IbkrSettings | None = None
    now: Callable[[], datetime] = field(default=_utc_now, repr=False)
    _budget: PacingBudget = field(default_factory=PacingBudget, repr=False)
    _kept: dict[tuple[str, date], _Kept] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """`ibkr`."""
        return "ibkr"

    def date_range(self) -> tuple[date, date] | None:
        """Null: it can be asked for any date."""
        return None

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the sessions in the range, prices in points, quotes unknown.

        One question for each session, sixty in ten minutes: a year takes 45 minutes. Raises
        `SourceError` when the gateway is not there, refuses, or lists another instrument.
        """
        rules = load_rules(symbol, self.contracts_folder)
        now = self.now()
        begun = [
            session
            for session in sessions_between(first_date, last_date, rules.session)
            if session.opens_at < now
        ]
        frames = {
            session.session_date: kept.rows
            for session in begun
            if (kept := self._kept.get((symbol, session.session_date))) is not None
            and kept.is_good_at(now, session)
        }
        wanted = [session for session in begun if session.session_date not in frames]
        if wanted:
            settings = self.settings or ibkr_settings(load_settings(os.environ), wants_paper=False)
            try:
                with history_reader(settings, rules.instrument, self._budget) as reader:
                    for session in wanted:
                        contract, told = reader.session(session)
                        closed = [bar for bar in told if bar.opens_at + MINUTE <= now]
                        rows = _rows(symbol, contract, closed)
                        frames[session.session_date] = self._keep(symbol, session, rows, now)
            except (RetryLater, BrokerMismatch) as error:
                raise SourceError(f"ibkr source: {error}") from error
        return pl.concat([_EMPTY, *(frames[day] for day in sorted(frames))])

    def _keep(
        self, symbol: str, session: Session, rows: pl.DataFrame, now: datetime
    ) -> pl.DataFrame:
        """The rows themselves, remembered in place of the oldest ones."""
        self._kept.pop((symbol, session.session_date), None)
        while len(self._kept) >= SESSIONS_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[symbol, session.session_date] = _Kept(now, rows)
        return rows


def _rows(symbol: str, contract: ListedContract, bars: Sequence[HistoryBar]) -> pl.DataFrame:
    rows = pl.DataFrame(
        [{"symbol": symbol, **bar._asdict()} for bar in bars], schema=_READ, orient="row"
    )
    return rows.with_columns(
        bid=pl.lit(None, pl.Float64),
        ask=pl.lit(None, pl.Float64),
        source=pl.lit(f"ibkr:{contract.local_symbol}"),
    ).select(_EMPTY.columns)


_READ: Final = {
    "symbol": pl.String(),
    "opens_at": UTC_INSTANT,
    **dict.fromkeys(PRICES, pl.Float64()),
    "volume": pl.Int64(),
    "trades": pl.Int64(),
}
_EMPTY: Final = pl.DataFrame(
    schema={
        "symbol": pl.String(),
        "opens_at": UTC_INSTANT,
        **dict.fromkeys((*PRICES, *QUOTES), pl.Float64()),
        "volume": pl.Int64(),
        "trades": pl.Int64(),
        "source": pl.String(),
    }
)
