"""The bars of a session that the desk traded: what it decided stays as it saw it.

Afterwards a broker tells the same minutes with other volumes and without quotes. The decisions must
follow from the bars that are stored, and what is learned of them as well.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from engine.calendar import Session
from engine.desk import Mode, SessionOpened, fact_of
from engine.journal import Event
from engine.rules import Rules

SEEN: Final = "session"
"""The source of a bar that the desk decided in a session."""

_TOLD: Final = ("minute", "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume")


def after_seen(bars: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Bars of a session that came after the last one seen; all of them where none was."""
    return bars.filter(pl.col("closes_at") > seen["closes_at"].max()) if seen.height else bars


def as_seen(bars: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """What the desk saw, and what the source has after it; a minute it never saw stays away."""
    return pl.concat([seen, after_seen(bars, seen)])


def seen_otherwise(bars: pl.DataFrame, seen: pl.DataFrame) -> int:
    """How many minutes that the desk saw the source tells otherwise, or not at all."""
    return seen.join(bars, on=_TOLD, how="anti").height


def is_as_seen(bars: pl.DataFrame, seen: pl.DataFrame, rules: Rules) -> bool:
    """Whether stored bars of a session are, as far as columns are made of them, what was seen."""
    if not seen.height:
        return True
    bound = timedelta(seconds=rules.data.late_bar_seconds)
    is_late = (pl.col("arrived_at") - pl.col("closes_at") > bound).fill_null(value=False)
    told = (*_TOLD, "bid_ticks", "ask_ticks", is_late.alias("is_late"))
    until = bars.filter(pl.col("closes_at") <= seen["closes_at"].max())
    return until.select(told).equals(seen.select(told))


def unseen_at_the_end(
    session: Session,
    told: Iterable[Event],
    known: AbstractSet[datetime],
    stored: Iterable[datetime],
) -> set[datetime]:
    """Stored minutes after the last one that a traded session told of: its run had ended by then.

    `told` are the events of the session itself; `known` the closes that its journal tells of. A
    replay sees all bars there are.
    """
    opened = [fact for fact in map(fact_of, told) if isinstance(fact, SessionOpened)]
    if not opened or opened[-1].mode is Mode.REPLAY:
        return set()
    inside = (at for at in known if session.opens_at < at <= session.closes_at)
    last = max(inside, default=session.opens_at)
    return {at for at in stored if last < at <= session.closes_at}
