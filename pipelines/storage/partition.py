"""What both stores ask of rows before they write them."""

from datetime import date

import polars as pl

from contracts.schemas import validate
from engine.errors import SchemaError


def validated(table: str, rows: pl.DataFrame, symbol: str, session_date: date) -> pl.DataFrame:
    """The rows of one partition in stored column order.

    Raises `SchemaError` for rows that break their schema or belong elsewhere: a row of another
    session would be read as this one's for ever.
    """
    valid = validate(table, rows)
    strangers = valid.filter(
        (pl.col("symbol") != symbol) | (pl.col("session_date") != session_date)
    )
    if strangers.height:
        first = strangers.row(0, named=True)
        raise SchemaError(
            f"{table}: expected rows of {symbol} {session_date}, got {strangers.height} others, "
            f"first {first['symbol']} {first['session_date']}; split the rows by session"
        )
    return valid
