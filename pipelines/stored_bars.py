"""Stored bars of a range of sessions with the contexts that belong to them."""

from dataclasses import dataclass
from datetime import date

import polars as pl

from assets.ports import MarketStore
from assets.prior_sessions import contexts_from
from contracts.calendar import sessions_between
from engine.errors import InputRefused
from engine.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBars:
    """What `market_frame` needs of these sessions; all are stored, and there is at least one."""

    session_dates: tuple[date, ...]
    bars: pl.DataFrame
    contexts: pl.DataFrame

    @property
    def sources(self) -> str:
        """Where the bars came from, as their rows say."""
        return ", ".join(sorted(self.bars["source"].unique()))


def stored_bars(
    market: MarketStore, rules: Rules, first_date: date | None, last_date: date | None
) -> StoredBars:
    """The stored sessions of a range, all if none is given; raises `InputRefused` without one."""
    symbol = rules.instrument.symbol
    stored = [
        day
        for day in market.session_dates("bars", symbol)
        if (first_date or day) <= day <= (last_date or day)
    ]
    bars = market.read("bars", symbol, stored[0], stored[-1]) if stored else pl.DataFrame()
    if not bars.height:
        raise InputRefused(_nothing_stored(market, symbol, first_date, last_date))
    days = set(bars["session_date"].unique())
    sessions = [
        session
        for session in sessions_between(stored[0], stored[-1], rules.session)
        if session.session_date in days
    ]
    return StoredBars(
        session_dates=tuple(session.session_date for session in sessions),
        bars=bars,
        contexts=contexts_from(market, sessions, rules),
    )


def _nothing_stored(
    market: MarketStore, symbol: str, first_date: date | None, last_date: date | None
) -> str:
    has = market.session_dates("bars", symbol)
    if not has:
        return (
            f"expected stored bars of {symbol}, found none; "
            "bring some in: credence ingest generator:7 --from 2025-01-02 --to 2025-02-07"
        )
    since, until = f" from {first_date}" * bool(first_date), f" to {last_date}" * bool(last_date)
    return (
        f"expected stored bars of {symbol}{since}{until}, found none; "
        f"{len(has)} sessions are stored, {has[0]} to {has[-1]}"
    )
