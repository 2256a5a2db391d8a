"""The tick grid, judged exactly and a column at a time: numbers as written, prices as whole ticks.

`Instrument.to_ticks` is the same judgement on one price.
"""

from fractions import Fraction
from typing import Final

import numpy as np
import polars as pl

from engine.instrument import Instrument

TICKS_ABS_MAX: Final = 2**31 - 1
"""Ticks are stored in 32 bits."""

_DIGITS_MAX: Final = 15  # Up to here decimal text and its nearest double are one to one.
_NUMBER: Final = r"^[+-]?\d+(\.\d*)?$"
_MISSING_TEXT: Final = ("", "nan", "null", "none")


def exact_number(name: str, dtype: pl.DataType) -> pl.Expr:
    """Float64 of a column: null when missing, NaN when it is not an exact finite number.

    Text of more than 15 digits is not exact: two of them could share one double.
    """
    column = pl.col(name)
    if dtype.is_float():
        value = column.cast(pl.Float64).fill_nan(None)
        return pl.when(value.is_infinite()).then(float("nan")).otherwise(value)
    if dtype.is_integer() or dtype == pl.Null():
        return column.cast(pl.Float64)
    text = column.cast(pl.String).str.strip_chars()
    digits = (
        text.str.replace(r"(\.\d*?)0+$", "$1")
        .str.replace_all(r"[+\-.]", "")
        .str.strip_chars_start("0")
        .str.len_chars()
    )
    is_exact = text.str.contains(_NUMBER) & (digits <= _DIGITS_MAX)
    return (
        pl.when(text.is_null() | text.str.to_lowercase().is_in(_MISSING_TEXT))
        .then(pl.lit(None, pl.Float64))
        .when(is_exact)
        .then(text.cast(pl.Float64, strict=False))
        .otherwise(float("nan"))
    )


def whole_ticks(points: pl.Series, instrument: Instrument) -> pl.Series:
    """Int32 ticks of prices, null where one is not exactly a whole number of ticks.

    With the tick as a fraction n/d, `ticks·n/d` is one correctly rounded division, hence the double
    nearest to the decimal price: a price is on the grid exactly when it equals that double. No
    tolerance is needed, and 70.07 on a 0.01 grid is 7007. NumPy divides; Polars would multiply by
    a rounded reciprocal.
    """
    tick = Fraction(instrument.tick_size)
    price = points.to_numpy()
    whole = np.rint(price * tick.denominator / tick.numerator)
    on_grid = (whole * tick.numerator / tick.denominator == price) & (abs(whole) <= TICKS_ABS_MAX)
    return pl.Series(np.where(on_grid, whole, np.nan), nan_to_null=True).cast(pl.Int32)
