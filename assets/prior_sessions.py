"""What a session's context is made from: the stored bars of the sessions before it.

Apart from the asset, so that replay makes the same context without importing Dagster.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from assets.ports import MarketStore
from engine.calendar import Session
from engine.context import session_contexts, session_summaries
from engine.rules import Rules

PRIOR_SESSIONS: Final = 21
"""How many sessions before its own a context reads: 20 for the medians, one more to seed them."""


def contexts_from(market: MarketStore, sessions: Sequence[Session], rules: Rules) -> pl.DataFrame:
    """Context rows of sessions from the stored bars of the sessions before each of them."""
    symbol = rules.instrument.symbol
    stored = market.session_dates("bars", symbol)
    before = [day for day in stored if day < sessions[0].session_date][-PRIOR_SESSIONS:]
    first = before[0] if before else sessions[0].session_date
    bars = market.read("bars", symbol, first, sessions[-1].session_date)
    known = bars.filter(pl.col("session_date") < sessions[-1].session_date)
    return session_contexts(session_summaries(known, rules), sessions, rules)


def lacking_prior(known_of: date | None, session: Session) -> str | None:
    """What to do when a context does not know the session right before its own; null if it does.

    `known_of` is its `prior_session_date`. The seed of the ATR, the prior close and the point of
    control would be those of an older day.
    """
    if known_of == session.prior_session_date:
        return None
    wanted, day = session.prior_session_date, session.session_date
    return (
        f"{wanted}, the session before {day}; bring it: run the job market_day for {wanted}, "
        f"then preopen for {day}"
    )
