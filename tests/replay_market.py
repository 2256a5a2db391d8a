"""Markets for tests of the replay: generated sessions with their context, ready to play."""

from datetime import date
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import polars as pl

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.context import session_contexts, session_summaries
from engine.generator import generate_bars
from pipelines.replay import ReplaySettings

RULES = load_rules("MES")


class Market(NamedTuple):
    """Bars of some sessions and the context of each of them."""

    contexts: pl.DataFrame
    bars: pl.DataFrame


@cache
def market(sessions: int, seed: int = 7, start: date = date(2024, 1, 2)) -> Market:
    """Generated sessions from a date on."""
    days = sessions_between(start, date(2026, 12, 31), RULES.session)[:sessions]
    bars = generate_bars(days, seed, RULES.instrument).bars
    return Market(context_of(bars), bars)


def context_of(bars: pl.DataFrame) -> pl.DataFrame:
    """The context of every session that has bars."""
    dates = bars["session_date"]
    first, last = dates.min(), dates.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    days = sessions_between(first, last, RULES.session)
    return session_contexts(session_summaries(bars, RULES), days, RULES)


def settings(**changes: object) -> ReplaySettings:
    """A replay of a tier A account."""
    return ReplaySettings(**{"equity_usd": Decimal(5000), **changes})  # type: ignore[arg-type]
