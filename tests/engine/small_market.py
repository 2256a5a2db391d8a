"""Small markets for tests: whole sessions of random bars, or the few bars a test writes down."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from contracts import load_rules
from engine.bars import BAR_COLUMNS
from engine.calendar import Session
from engine.context import CONTEXT_COLUMNS, join_context, session_contexts, session_summaries
from engine.quality import add_quality
from engine.rules import Rules
from engine.signals import add_signals

RULES = load_rules("MES")
FIRST_OPEN = datetime(2024, 3, 11, 13, 30, tzinfo=UTC)

Row = dict[str, Any]


def some_sessions(count: int, minutes: int = 390) -> list[Session]:
    """Sessions on consecutive days."""
    opens = [FIRST_OPEN + timedelta(days=day) for day in range(count)]
    return [
        Session(
            session_date=at.date(),
            opens_at=at,
            closes_at=at + timedelta(minutes=minutes),
            prior_session_date=None,
        )
        for at in opens
    ]


def bars_of(session: Session, rows: Sequence[Row]) -> pl.DataFrame:
    """Bars of rows made by `bar`; `minute` counts up unless a row says it."""
    full, minute = [], -1
    for row in rows:
        minute = row.get("minute", minute + 1)
        opens_at = session.opens_at + timedelta(minutes=minute)
        full.append(
            {
                "symbol": RULES.instrument.symbol,
                "session_date": session.session_date,
                "opens_at": opens_at,
                "closes_at": opens_at + timedelta(minutes=1),
                "source": "test",
                **row,
                "minute": minute,
            }
        )
    return pl.DataFrame(full, schema=BAR_COLUMNS)


def bar(open_: int, high: int, low: int, close: int, volume: int = 1000, **more: Any) -> Row:
    """One row for `bars_of`."""
    prices = {"open_ticks": open_, "high_ticks": high, "low_ticks": low, "close_ticks": close}
    return {**prices, "volume": volume, **more}


def flat_bars(count: int, price: int = 20_000, volume: int = 1000) -> list[Row]:
    """Bars two ticks wide around one price: ATR, range and volume do not change."""
    return [bar(price, price + 1, price - 1, price, volume) for _ in range(count)]


def random_bars(
    seed: int,
    sessions: Sequence[Session],
    *,
    bars: int | None = None,
    step_ticks: float = 4.0,
    wild: bool = False,
) -> pl.DataFrame:
    """A random walk with quotes; `wild` adds jumps, flat bars, no volume, lost bars and quotes."""
    random = np.random.default_rng(seed)
    price, frames = 20_000, []
    for session in sessions:
        count = min(bars or session.minutes, session.minutes)
        rows = []
        for minute in range(count):
            step = round(random.normal(0, step_ticks))
            volume = int(random.gamma(2, 800)) + 1
            spread = int(random.integers(1, 3))
            wicks = random.integers(0, 1 + round(step_ticks), 2)
            quote: Row = {"bid_ticks": price + step, "ask_ticks": price + step + spread}
            if wild:
                step, volume, wicks, quote = _wild(random, step, volume, wicks, quote)
                if random.random() < 0.02:
                    continue
            close = price + step
            high, low = max(price, close) + int(wicks[0]), min(price, close) - int(wicks[1])
            rows.append(bar(price, high, low, close, volume, minute=minute, **quote))
            price = close
        frames.append(bars_of(session, rows))
        price += round(random.normal(0, 30))
    return pl.concat(frames)


def _wild(
    random: np.random.Generator, step: int, volume: int, wicks: Any, quote: Row
) -> tuple[int, int, Any, Row]:
    fate = random.random()
    if fate < 0.05:
        return step, 0, wicks, quote
    if fate < 0.15:
        return 0, volume, wicks * 0, quote
    if fate < 0.18:
        return int(random.integers(-3000, 3000)), volume * 100_000, wicks, quote
    if fate < 0.25:
        return step, volume, wicks, {}
    if fate < 0.28:
        return step, volume, wicks, {"bid_ticks": 20_000, "ask_ticks": 19_998}
    return step, volume, wicks, quote


def contexts_of(
    bars: pl.DataFrame, sessions: Sequence[Session], rules: Rules = RULES
) -> pl.DataFrame:
    """Contexts of the sessions, from the bars of those before them."""
    return session_contexts(session_summaries(bars, rules), sessions, rules)


def seen(bars: pl.DataFrame, contexts: pl.DataFrame, rules: Rules = RULES) -> pl.DataFrame:
    """Bars with quality and signal columns."""
    return add_signals(add_quality(join_context(bars, contexts), rules), rules)


def context_of(session: Session, **known: Any) -> pl.DataFrame:
    """A context written down: nothing is known but what is given."""
    row = {
        "symbol": RULES.instrument.symbol,
        "session_date": session.session_date,
        "session_minutes": session.minutes,
        "prior_sessions": 0,
    }
    columns = dict.fromkeys(CONTEXT_COLUMNS)
    return pl.DataFrame([{**columns, **row, **known}], schema=CONTEXT_COLUMNS)


def session_day(number: int) -> date:
    """Date of the n-th of `some_sessions`."""
    return (FIRST_OPEN + timedelta(days=number)).date()
