"""How assets and checks tell a person what they found: tables rather than JSON, money in cents."""

from collections.abc import Mapping
from decimal import Decimal

import dagster as dg
import polars as pl


def table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """Rows as a table of the UI; floats are rounded to four decimals, other values become text."""
    shown = rows.with_columns(pl.selectors.float().round(4))
    records = [
        dg.TableRecord({name: _plain(value) for name, value in row.items()})
        for row in shown.to_dicts()
    ]
    columns = [dg.TableColumn(name, _type(dtype)) for name, dtype in shown.schema.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def counts(of: Mapping[str, int], name: str, counted: str) -> dg.TableMetadataValue:
    """Counts by name as a table, most frequent first."""
    rows = pl.DataFrame(
        {name: list(of), counted: list(of.values())},
        schema={name: pl.String, counted: pl.Int64},
    )
    return table(rows.sort(counted, name, descending=[True, False]))


def usd(amount: Decimal) -> float:
    """An amount as the UI can plot it, to the cent."""
    return float(round(amount, 2))


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _type(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int"
    return "float" if dtype.is_float() else "string"
