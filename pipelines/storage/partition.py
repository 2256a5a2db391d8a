"""What both stores ask of rows before they write them."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from contracts.schemas import validate
from engine.errors import SchemaError


def validated(
    table: str, rows: pl.DataFrame, symbol: str, session_dates: Sequence[date]
) -> pl.DataFrame:
    """The rows of some partitions in stored column order.

    Raises `SchemaError` for rows that break their schema or belong elsewhere: a row of another
    session would be read as this one's for ever.
    """
    valid = validate(table, rows)
    strangers = valid.filter(
        (pl.col("symbol") != symbol) | ~pl.col("session_date").is_in(session_dates)
    )
    if strangers.height:
        first = strangers.row(0, named=True)
        wanted = ", ".join(map(str, session_dates))
        raise SchemaError(
            f"{table}: expected rows of {symbol} {wanted}, got {strangers.height} others, "
            f"first {first['symbol']} {first['session_date']}; split the rows by session"
        )
    return valid
