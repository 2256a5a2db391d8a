"""Columns that several tables share: the key of a bar, and prices in ticks."""

from typing import Final

import polars as pl

from contracts.schemas.table import NEVER, UTC, Column

SYMBOL: Final = Column(
    name="symbol",
    dtype=pl.String(),
    unit="text",
    meaning="Instrument, a block of `contracts/instrument.yaml`.",
    pattern=r"^[A-Z0-9]{1,10}$",
)
SESSION_DATE: Final = Column(
    name="session_date",
    dtype=pl.Date(),
    unit="date",
    meaning="Date of the regular session, from the exchange calendar.",
)
CLOSES_AT: Final = Column(
    name="closes_at",
    dtype=UTC,
    unit="UTC instant",
    meaning="Close of the bar; from this instant on the row may be used.",
)
MINUTE: Final = Column(
    name="minute",
    dtype=pl.Int32(),
    unit="minutes since the open",
    meaning="Minute of the session in which the bar opened, 0 for the first.",
    low=0,
    high=389,
)

BAR_KEY: Final = (SYMBOL, SESSION_DATE, CLOSES_AT, MINUTE)
"""The columns that every table with one row per bar begins with."""

LONG_SHORT: Final = "+1 long, -1 short"


def ticks(name: str, meaning: str, *, null: str = NEVER, low: float | None = None) -> Column:
    """A whole number of ticks (Int32): a price, or a distance with `low` 0 or 1."""
    return Column(name=name, dtype=pl.Int32(), unit="ticks", meaning=meaning, null=null, low=low)


def number(
    name: str,
    unit: str,
    meaning: str,
    *,
    null: str = NEVER,
    low: float | None = None,
    high: float | None = None,
) -> Column:
    """A measured quantity (Float64), always finite."""
    return Column(
        name=name, dtype=pl.Float64(), unit=unit, meaning=meaning, null=null, low=low, high=high
    )


def share(name: str, meaning: str, *, null: str = NEVER) -> Column:
    """A probability or share (Float64) from 0 to 1."""
    return number(name, "share", meaning, null=null, low=0, high=1)


def text(
    name: str,
    meaning: str,
    *,
    null: str = NEVER,
    choices: tuple[str, ...] | None = None,
    pattern: str | None = None,
) -> Column:
    """Text (String), from a closed list where there is one."""
    return Column(
        name=name,
        dtype=pl.String(),
        unit="text",
        meaning=meaning,
        null=null,
        choices=choices,
        pattern=pattern,
    )


def flag(name: str, meaning: str, *, null: str = NEVER) -> Column:
    """True or false."""
    return Column(name=name, dtype=pl.Boolean(), unit="true or false", meaning=meaning, null=null)


def side(meaning: str, *, null: str = NEVER, name: str = "side") -> Column:
    """Direction (Int8): the sign used in arithmetic."""
    return Column(
        name=name, dtype=pl.Int8(), unit=LONG_SHORT, meaning=meaning, null=null, low=-1, high=1
    )


def phase(*, null: str) -> Column:
    """Part of the day at a decision (Int8)."""
    return Column(
        name="phase",
        dtype=pl.Int8(),
        unit="number of `engine.calendar.Phase`",
        meaning="Part of the day at the decision.",
        null=null,
        low=0,
        high=7,
    )


def count(name: str, unit: str, meaning: str, *, null: str = NEVER, low: float = 0) -> Column:
    """A whole number of something (Int32)."""
    return Column(name=name, dtype=pl.Int32(), unit=unit, meaning=meaning, null=null, low=low)


def instant(name: str, meaning: str, *, null: str = NEVER) -> Column:
    """An instant in UTC with microseconds."""
    return Column(name=name, dtype=UTC, unit="UTC instant", meaning=meaning, null=null)
