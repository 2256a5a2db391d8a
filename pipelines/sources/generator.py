"""The seeded market as a source: the default on a fresh machine, for any dates."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import PRICES, QUOTES, UTC_INSTANT
from engine.generator import generate_bars
from engine.rules import Rules

_OWN_MARKET: Final = "MES"
"""The symbol whose market a seed draws; every other symbol has a market of its own under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSource:
    """Bars of every session the calendar holds; the same seed, symbol and date give the same bars.

    Two symbols of one seed are two markets of the same kind, without a common driver.
    """

    seed: int
    contracts_folder: Path | None = None

    @property
    def name(self) -> str:
        """`generator:SEED`."""
        return f"generator:{self.seed}"

    def date_range(self) -> tuple[date, date] | None:
        """Null: it has any date."""
        return None

    def read(self, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of the sessions in the range, prices in points.

        One session costs almost what a month does, so a short read makes its whole month and keeps
        it for the next; the bars of a session do not depend on what is made with it.
        """
        if (first_date.year, first_date.month) != (last_date.year, last_date.month):
            return _generated(self.seed, symbol, self.contracts_folder, first_date, last_date)
        days = monthrange(first_date.year, first_date.month)[1]
        month = _month(
            self.seed,
            symbol,
            self.contracts_folder,
            first_date.replace(day=1),
            first_date.replace(day=days),
        )
        return month.filter(pl.col("opens_at").dt.date().is_between(first_date, last_date))


def _generated(
    seed: int, symbol: str, contracts_folder: Path | None, first_date: date, last_date: date
) -> pl.DataFrame:
    rules = _rules(symbol, contracts_folder)
    sessions = sessions_between(first_date, last_date, rules.session)
    if not sessions:
        return _EMPTY.clone()
    bars = generate_bars(sessions, _drawn_from(seed, symbol), rules.instrument).bars
    bars = bars.with_columns(source=pl.lit(f"generator:{seed}"))
    tick = Fraction(rules.instrument.tick_size)
    points = {  # NumPy divides; Polars would multiply by a rounded reciprocal.
        name: pl.Series(bars[f"{name}_ticks"].to_numpy() * tick.numerator / tick.denominator)
        for name in (*PRICES, *QUOTES)
    }
    kept = bars.select("symbol", "opens_at", "volume", "trades", "source", **points)
    return kept.select(_EMPTY.columns)


def _drawn_from(seed: int, symbol: str) -> int:
    """The engine's seed: another number per symbol, and the seed itself for the first."""
    return seed if symbol == _OWN_MARKET else int.from_bytes(f"{symbol} {seed}".encode())


_month = lru_cache(maxsize=2)(_generated)


@lru_cache(maxsize=4)
def _rules(symbol: str, contracts_folder: Path | None) -> Rules:
    return load_rules(symbol, contracts_folder)


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
