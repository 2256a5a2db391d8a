"""The markets of a campaign: generated sessions with their columns, computed once and shared.

A run reads them and changes nothing. Desk, exchange and journal are each run's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from random import Random
from typing import Final

import polars as pl

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.context import session_contexts, session_summaries
from engine.desk import EMPTY, Desk, Recording
from engine.exchange import Exchange, exchange_settings
from engine.generator import generate_bars, plant_faults
from engine.rules import Rules
from pipelines.replay_sessions import PlayedSession, ReplaySettings, played_sessions
from pipelines.shadow import ShadowDesk

MARKETS: Final = ((7, date(2024, 1, 2)), (3, date(2022, 5, 31)), (11, date(2020, 2, 24)))
BAD_MARKETS: Final = ((5, date(2023, 3, 1)),)
SESSIONS_PER_MARKET: Final = 24
"""One size for every campaign: what a seed plays depends on it, and a printed case replays."""

WARM_UP: Final = 4
"""Sessions that only give the later ones their context."""

FAULTS_PER_KIND: Final = 5
SESSIONS_MAX: Final = 3
ENTERED_SHARE: Final = 0.9
"""How many runs begin with a session in which a desk left in peace enters."""

EQUITY_USD: Final = Decimal(20_000)
"""For finding out which sessions trade: with so much every template may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Consecutive sessions, the places of those in which a desk left in peace enters, and rows."""

    sessions: Sequence[PlayedSession]
    entered: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs share."""

    rules: Rules
    clean: Sequence[Market]
    bad: Sequence[Market]


@cache
def the_stage() -> Stage:
    """The markets, some of them with planted data faults; takes seconds, once in a process."""
    rules = load_rules("MES")
    return Stage(
        rules=rules,
        clean=[_market(rules, seed, start) for seed, start in MARKETS],
        bad=[_market(rules, seed, start, is_bad=True) for seed, start in BAD_MARKETS],
    )


def _market(rules: Rules, seed: int, start: date, *, is_bad: bool = False) -> Market:
    days = sessions_between(start, date(2026, 12, 31), rules.session)
    days = days[: SESSIONS_PER_MARKET + WARM_UP]
    bars = generate_bars(days, seed, rules.instrument).bars
    if is_bad:
        raw = plant_faults(bars, seed, rules.instrument, per_kind=FAULTS_PER_KIND).raw
        bars = check_bars(raw, rules.instrument, days).bars
    contexts = session_contexts(session_summaries(bars, rules), days, rules)
    played = _played(contexts, bars, rules)[WARM_UP:]
    return Market(sessions=played, entered=_entered(played, rules))


def _played(contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules) -> list[PlayedSession]:
    """Every bar of every session without its text, and a journal that wants them all."""
    wanted = ReplaySettings(equity_usd=EQUITY_USD, recording=Recording.TRADES, jumps=False)
    return [
        replace(session, opened=replace(session.opened, recording=Recording.FULL))
        for session in played_sessions(contexts, bars, rules, wanted)
    ]


def _entered(sessions: Sequence[PlayedSession], rules: Rules) -> list[int]:
    places = []
    for place, session in enumerate(sessions):
        exchange = Exchange(exchange_settings(rules, EQUITY_USD))
        shadow = ShadowDesk(Desk(rules), EMPTY, exchange, has_clock=False)
        shadow.deliver((session.opened,))
        for row in session.rows:
            shadow.play_bar(row)
        if shadow.closed:
            places.append(place)
    return places


def sessions_of(
    stage: Stage, dice: Random, *, first: int, count: int | None, is_bad: bool
) -> Sequence[PlayedSession]:
    """Consecutive sessions of one market; most runs begin with one that can be entered."""
    markets = stage.bad if is_bad else stage.clean
    market = dice.choice(list(markets))
    wants_entry, anywhere = dice.random() < ENTERED_SHARE, dice.randrange(len(market.sessions))
    start = dice.choice(market.entered) if wants_entry and market.entered else anywhere
    chosen = market.sessions[start : start + dice.randint(1, SESSIONS_MAX)]
    return chosen[min(first, len(chosen) - 1) :][:count]
