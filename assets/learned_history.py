"""What nights look back on: the market of the sessions before them, and what came of it.

Apart from the assets, so that a night can be done without Dagster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import polars as pl

from assets.ports import MarketStore
from assets.prior_sessions import contexts_from
from assets.rows import outcome_rows
from contracts.calendar import session_on
from engine.learning.forecasts import forecasts
from engine.learning.luck import peers
from engine.learning.shadow_trades import shadow_trades
from engine.market import market_frame
from engine.own_view import Standing
from engine.rules import Rules


@dataclass(frozen=True)
class LearnedHistory:
    """The market frame of some sessions in a row; what follows from it is computed when asked for.

    A night sees the newest `calibration.sessions_max` sessions that are over when it begins, its
    own among them.
    """

    frame: pl.DataFrame
    rules: Rules

    @cached_property
    def outcomes(self) -> pl.DataFrame:
        """`OUTCOME_COLUMNS` of every bar."""
        return outcome_rows(self.frame, self.rules)

    @cached_property
    def peers(self) -> pl.DataFrame:
        """`PEER_COLUMNS` of every outcome."""
        return peers(self.frame, self.outcomes, self.rules)

    @cached_property
    def forecasts(self) -> pl.DataFrame:
        """`FORECAST_COLUMNS` of every outcome."""
        return forecasts(self.frame, self.outcomes, self.rules)

    @cached_property
    def dates(self) -> list[date]:
        """Dates of the sessions that have bars, ascending."""
        return self.frame["session_date"].unique().sort().to_list()

    def shadows(self, session_date: date, standings: Mapping[str, Standing]) -> pl.DataFrame:
        """`SHADOW_COLUMNS` of one session, by the odds that it was opened under."""
        frame, outcomes = (self.on(rows, session_date) for rows in (self.frame, self.outcomes))
        return shadow_trades(frame, outcomes, standings, self.rules)

    def on(self, rows: pl.DataFrame, session_date: date) -> pl.DataFrame:
        """Those of one session."""
        return rows.filter(pl.col("session_date") == session_date)

    def through(self, rows: pl.DataFrame, session_date: date) -> pl.DataFrame:
        """Those a night may look back on."""
        over = [day for day in self.dates if day <= session_date]
        kept = over[-self.rules.learning.calibration.sessions_max :]
        if not kept:
            return rows.clear()
        return rows.filter(pl.col("session_date").is_between(kept[0], session_date))


def learned_history(
    market: MarketStore, session_dates: Sequence[date], rules: Rules
) -> LearnedHistory:
    """The history of these nights, from stored bars and contexts.

    A session that was stored but never made ready for trading has no context: it is made here, as
    its asset would make it, so that bars of the past can be looked back on as they were ingested.
    The stages of one night ask for the same one after the other: it is computed once, as long as
    what is stored reads the same.
    """
    symbol, first, last = rules.instrument.symbol, min(session_dates), max(session_dates)
    before = [day for day in market.session_dates("bars", symbol) if day < first]
    wanted = rules.learning.calibration.sessions_max - 1
    start = before[-wanted:][0] if before else first
    bars, contexts = (market.read(name, symbol, start, last) for name in ("bars", "context"))
    return _NEWEST.of(bars, _completed(contexts, bars, market, rules), rules)


def _completed(
    contexts: pl.DataFrame, bars: pl.DataFrame, market: MarketStore, rules: Rules
) -> pl.DataFrame:
    """The contexts of every session of the bars: those stored, and those only made here."""
    known = set(contexts["session_date"])
    lacking = [day for day in bars["session_date"].unique().sort() if day not in known]
    if not lacking:
        return contexts
    made = contexts_from(market, [session_on(day, rules.session) for day in lacking], rules)
    return pl.concat([contexts.select(made.columns), made]).sort("session_date")


class _Newest:
    """The history that was asked for last, and what it was made from."""

    def __init__(self) -> None:
        self._made: tuple[pl.DataFrame, pl.DataFrame, Rules, LearnedHistory] | None = None

    def of(self, bars: pl.DataFrame, contexts: pl.DataFrame, rules: Rules) -> LearnedHistory:
        made = self._made
        if made is not None:
            same = made[2] is rules and made[0].equals(bars) and made[1].equals(contexts)
            if same:
                return made[3]
        self._made = None  # Two at once would be twice the memory.
        history = LearnedHistory(market_frame(contexts, bars, rules), rules)
        self._made = (bars, contexts, rules, history)
        return history


_NEWEST: Final = _Newest()
