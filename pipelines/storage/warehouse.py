"""The DuckDB warehouse: desk tables, and views that put the market tables beside them.

The one module that imports DuckDB. Connections are short, because an open one locks every other
process out; a process that finds the file locked waits, within a bound.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Final

import duckdb
import polars as pl
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from contracts.schemas import DESK_TABLES, columns_of
from contracts.schemas import table as schema_of
from engine.errors import SchemaError, WarehouseBusy
from pipelines.storage.atomic import replace_with, storage_full
from pipelines.storage.bucket import Bucket
from pipelines.storage.home import Home
from pipelines.storage.partition import validated
from pipelines.storage.places import Place

PATIENCE_SECONDS: Final = 30.0
_ONE_AT_A_TIME: Final = Lock()
_HOLDER: Final = re.compile(r"held in (?P<program>.*) \(PID (?P<pid>\d+)\)")
_IS_PARTITION: Final = "symbol = ? AND session_date = ?"
_RANGE: Final = (
    "SELECT * FROM {} WHERE symbol = ? AND session_date BETWEEN ? AND ? "
    "ORDER BY session_date, rowid"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckWarehouse:
    """The desk tables of one data home; waits `patience_seconds` for another process's lock."""

    home: Home
    patience_seconds: float = PATIENCE_SECONDS

    def replace_partitions(
        self, table: str, rows: pl.DataFrame, *, symbol: str, session_dates: Sequence[date]
    ) -> int:
        """Validate, then replace the rows of these sessions in one transaction.

        The answer is how many of them differed from what was stored; the others are left alone.
        Raises `SchemaError` before anything is written, `WarehouseBusy`, `StorageFull`.
        """
        valid = validated(table, rows, symbol, session_dates)
        with self._connection() as connection, _transaction(connection):
            stored = _typed(_between(connection, table, symbol, session_dates), table)
            new, old = (_by_date(each) for each in (valid, stored))
            none = valid.clear()
            differing = [
                day for day in session_dates if not new.get(day, none).equals(old.get(day, none))
            ]
            for day in differing:
                where = f"{_quoted(table)} WHERE {_IS_PARTITION}"
                connection.execute(f"DELETE FROM {where}", [symbol, day])  # noqa: S608 - own names.
            if differing:
                changed = valid.filter(pl.col("session_date").is_in(differing))
                connection.register("new_rows", changed)
                connection.execute(
                    f"INSERT INTO {_quoted(table)} BY NAME SELECT * FROM new_rows"  # noqa: S608
                )
                connection.unregister("new_rows")
            return len(differing)

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        """Rows of a desk table in the range, oldest session first, in the schema's columns."""
        rows = self.query(_RANGE.format(_quoted(table)), [symbol, first_date, last_date])
        return _typed(rows, table)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """Answer one question over desk and market tables; a statement that writes is refused."""
        with self._connection() as connection:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                return _frame(connection, sql, list(parameters))
            finally:
                connection.execute("ROLLBACK")

    def publish(self) -> Path:
        """Put a consistent copy beside the warehouse, for readers that keep it open.

        A reader with the old copy open keeps it; the next one gets the new copy.
        """
        published = self.home.published

        def copy(target: Path) -> None:
            with self._connection() as connection:
                connection.execute(f"ATTACH {_literal(target)} AS copy")
                connection.execute("COPY FROM DATABASE warehouse TO copy")
                connection.execute("DETACH copy")
            target.chmod(0o444)

        replace_with(published, copy, self.home.aside)
        return published

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A short connection with every table and view in place, one at a time in this process."""
        if not _ONE_AT_A_TIME.acquire(timeout=self.patience_seconds):
            raise self._busy("another thread of this process")
        try:
            with self._open_file() as connection:
                yield connection
        finally:
            _ONE_AT_A_TIME.release()

    @contextmanager
    def _open_file(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._opened()
        try:
            _create_tables(connection, self.home.warehouse)
            _create_views(connection, self.home.tables)
            yield connection
        except duckdb.Error as error:
            if "No space left" in str(error) or "File too large" in str(error):
                raise storage_full(self.home.warehouse, str(error)) from error
            if isinstance(error, duckdb.InvalidInputException) and "arquet" in str(error):
                raise SchemaError(
                    f"{self.home.tables}: expected whole Parquet files, one is not: "
                    f"{str(error).splitlines()[0]}; remove it and make it again, or restore a copy"
                ) from error
            raise
        finally:
            connection.close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        self.home.root.mkdir(parents=True, exist_ok=True)
        attempts = Retrying(
            stop=stop_after_delay(self.patience_seconds),
            wait=wait_random_exponential(multiplier=0.02, max=0.5),
            retry=retry_if_exception(_is_locked),
            reraise=True,
        )
        try:
            return attempts(duckdb.connect, str(self.home.warehouse))
        except duckdb.IOException as error:
            if not _is_locked(error):
                raise
            holder = _HOLDER.search(str(error))
            who = f"process {holder['pid']} ({holder['program']})" if holder else "another process"
            raise self._busy(who) from error

    def _busy(self, who: str) -> WarehouseBusy:
        return WarehouseBusy(
            f"{self.home.warehouse}: expected the write lock within {self.patience_seconds:g} s, "
            f"{who} holds it; end it or wait, then run again; readers should open "
            f"{self.home.published.name} instead"
        )


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _frame(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object]
) -> pl.DataFrame:
    """The answer as a frame; DuckDB hands instants out in the machine's zone, they become UTC."""
    answer: pl.DataFrame = connection.sql(sql, params=list(parameters)).pl()
    zoned = [
        name
        for name, dtype in answer.schema.items()
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    ]
    return answer.with_columns(pl.col(zoned).dt.convert_time_zone("UTC")) if zoned else answer


def _between(
    connection: duckdb.DuckDBPyConnection, table: str, symbol: str, session_dates: Sequence[date]
) -> pl.DataFrame:
    ends = [symbol, min(session_dates), max(session_dates)]
    return _frame(connection, _RANGE.format(_quoted(table)), ends)


def _by_date(rows: pl.DataFrame) -> dict[object, pl.DataFrame]:
    parts = rows.partition_by("session_date", as_dict=True)
    return {day: part for (day,), part in parts.items()}


def _typed(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in columns_of(table).items())


def _create_tables(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Every desk table of the contracts; one stored with other columns is refused.

    One from before a column that says what its older rows have is given that column.
    """
    stored = _stored_columns(connection)
    for table in DESK_TABLES:
        columns = columns_of(table)
        if table not in stored:
            connection.register("no_rows", pl.DataFrame(schema=columns))
            connection.execute(f"CREATE TABLE {_quoted(table)} AS SELECT * FROM no_rows")  # noqa: S608
            connection.unregister("no_rows")
        elif set(stored[table]) != set(columns) and not _completed(
            connection, table, stored[table]
        ):
            raise SchemaError(
                f"{path}: table {table}: expected columns {', '.join(columns)}, it has "
                f"{', '.join(stored[table])}; the contracts changed since it was written: "
                "move the file away and materialise the sessions again"
            )


def _completed(connection: duckdb.DuckDBPyConnection, table: str, stored: Sequence[str]) -> bool:
    """Whether the table lacked nothing but columns that could be added to it."""
    columns = {column.name: column.before for column in schema_of(table).columns}
    lacking = {name: before for name, before in columns.items() if name not in stored}
    if set(stored) - set(columns) or None in lacking.values():
        return False
    with _transaction(connection):
        for name, before in lacking.items():
            connection.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(name)} VARCHAR")
            connection.execute(f"UPDATE {_quoted(table)} SET {_quoted(name)} = ?", [before])  # noqa: S608 - own names.
    return True


def _stored_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    rows = connection.execute(
        "SELECT table_name, list(column_name ORDER BY ordinal_position) "
        "FROM information_schema.columns WHERE table_catalog = current_database() GROUP BY ALL"
    ).fetchall()
    return {table: tuple(columns) for table, columns in rows}


def _create_views(connection: duckdb.DuckDBPyConnection, place: Place) -> None:
    """A view per market table that has files; DuckDB needs one file to know the columns."""
    if isinstance(place, Bucket):
        connection.register_filesystem(place.for_sql())
    existing = dict(
        connection.execute(
            "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    )
    for table in place.tables():
        files = _literal(place.where(f"{table}/*/*.parquet"))
        if files not in existing.get(table, ""):
            connection.execute(
                f"CREATE OR REPLACE VIEW {_quoted(table)} AS "  # noqa: S608
                f"SELECT * FROM read_parquet({files}, hive_partitioning = false)"
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(path: Path | str) -> str:
    where = path.resolve() if isinstance(path, Path) else path
    return "'" + str(where).replace("'", "''") + "'"
