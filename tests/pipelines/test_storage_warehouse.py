"""The warehouse: one transaction per session, one writer at a time, one SQL surface."""

import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from contracts.schemas import DESK_TABLES, columns_of
from engine.bars import BAR_COLUMNS
from engine.errors import SchemaError, WarehouseBusy
from pipelines.storage import DuckWarehouse, Home, ParquetStore

DAY, NEXT_DAY = date(2024, 7, 1), date(2024, 7, 2)
REPOSITORY = Path(__file__).resolve().parents[2]


def decisions(sentence: str = "Nothing to do.", rows: int = 390, day: date = DAY) -> pl.DataFrame:
    opens_at = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
    return pl.DataFrame(
        [
            {
                "symbol": "MES",
                "session_date": day,
                "closes_at": opens_at + timedelta(minutes=minute + 1),
                "minute": minute,
                "seq": minute + 1,
                "action": "SKIP",
                "reason": "BELIEF_TOO_LOW",
                "layer": 5,
                "cause": "",
                "sentence": sentence,
                "counterfactual": "",
                "scores_json": "[]",
                "gates_json": "{}",
            }
            for minute in range(rows)
        ],
        schema_overrides={name: columns_of("decisions")[name] for name in ("layer", "minute")},
    ).pipe(
        lambda frame: frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in columns_of("decisions").items()
        )
    )


def warehouse_in(folder: Path, patience_seconds: float = 10) -> DuckWarehouse:
    return DuckWarehouse(home=Home(root=folder), patience_seconds=patience_seconds)


def put(warehouse: DuckWarehouse, rows: pl.DataFrame, day: date = DAY) -> bool:
    return bool(warehouse.replace_partitions("decisions", rows, symbol="MES", session_dates=[day]))


def one_bar() -> pl.DataFrame:
    opens_at = datetime(2024, 7, 1, 13, 30, tzinfo=UTC)
    row = {
        "symbol": "MES",
        "session_date": DAY,
        "opens_at": opens_at,
        "closes_at": opens_at + timedelta(minutes=1),
        "minute": 0,
        **dict.fromkeys(("open_ticks", "high_ticks", "low_ticks", "close_ticks"), 24000),
        "volume": 10,
        "source": "test",
    }
    return pl.DataFrame([row], schema=BAR_COLUMNS)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


HOLDING = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def holder_of(path: Path, seconds: float) -> subprocess.Popen[str]:
    """A second process that holds the warehouse open for some seconds."""
    process = run_python(HOLDING, path, seconds)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)

    assert put(warehouse, decisions())
    assert warehouse.read("decisions", "MES", DAY, DAY).equals(decisions())


def test_instants_come_back_in_utc_whatever_the_zone_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        warehouse = warehouse_in(tmp_path)
        put(warehouse, decisions(rows=1))

        closes_at = warehouse.query("SELECT closes_at FROM decisions")["closes_at"]

        assert closes_at.dtype == pl.Datetime("us", "UTC")
        assert closes_at[0] == datetime(2024, 7, 1, 13, 31, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_partition_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions("old"))
    put(warehouse, decisions("other", day=NEXT_DAY), NEXT_DAY)

    changed = put(warehouse, decisions("new", rows=5))

    rows = warehouse.read("decisions", "MES", DAY, NEXT_DAY)
    counts = rows.group_by("sentence", maintain_order=True).len().rows()
    assert (changed, counts) == (True, [("new", 5), ("other", 390)])


def test_the_same_rows_change_nothing(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions())

    assert not put(warehouse, decisions())
    assert warehouse.read("decisions", "MES", DAY, DAY).height == 390


def test_every_desk_table_exists_on_a_fresh_home(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path / "new" / "home")

    for table in DESK_TABLES:
        rows = warehouse.read(table, "MES", DAY, DAY)
        assert (rows.height, dict(rows.schema)) == (0, columns_of(table))


def test_rows_that_do_not_fit_the_schema_are_never_written(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions())

    with pytest.raises(SchemaError, match="action"):
        put(warehouse, decisions().with_columns(action=pl.lit("MAYBE")))

    assert warehouse.read("decisions", "MES", DAY, DAY).equals(decisions())


def test_rows_of_another_session_are_refused(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)

    with pytest.raises(SchemaError, match="expected rows of MES 2024-07-01, got 390 others"):
        put(warehouse, decisions(day=NEXT_DAY))


def test_market_tables_are_views_beside_the_desk_tables(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions())
    market = ParquetStore(home=Home(root=tmp_path))
    market.write("bars", one_bar(), symbol="MES", session_date=DAY)

    joined = warehouse.query(
        "SELECT b.close_ticks, d.sentence FROM bars b JOIN decisions d USING (symbol, closes_at) "
        "WHERE symbol = ?",
        ["MES"],
    )

    assert joined.rows() == [(24000, "Nothing to do.")]


def test_views_follow_a_home_that_was_moved(tmp_path: Path) -> None:
    market = ParquetStore(home=Home(root=tmp_path / "here"))
    market.write("bars", one_bar(), symbol="MES", session_date=DAY)
    warehouse_in(tmp_path / "here").query("SELECT * FROM bars")

    (tmp_path / "here").rename(tmp_path / "there")

    moved = warehouse_in(tmp_path / "there")
    assert moved.query("SELECT count(*) AS bars FROM bars")["bars"].to_list() == [1]


def test_a_home_with_a_quote_in_its_name_works(tmp_path: Path) -> None:
    folder = tmp_path / "o'clock"
    ParquetStore(home=Home(root=folder)).write("bars", one_bar(), symbol="MES", session_date=DAY)

    rows = warehouse_in(folder).query("SELECT symbol FROM bars")

    assert rows["symbol"].to_list() == ["MES"]
    assert warehouse_in(folder).publish().exists()


def test_a_question_cannot_write(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions())

    with pytest.raises(duckdb.Error, match="read-only"):
        warehouse.query("DELETE FROM decisions")

    assert warehouse.read("decisions", "MES", DAY, DAY).height == 390


def test_a_lock_held_too_long_names_the_process_that_holds_it(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path, patience_seconds=0.3)
    put(warehouse, decisions())
    holder = holder_of(warehouse.home.warehouse, 60)

    try:
        started = time.monotonic()
        with pytest.raises(WarehouseBusy, match=f"process {holder.pid} .*published.duckdb"):
            put(warehouse, decisions("new"))
        waited = time.monotonic() - started
    finally:
        holder.kill()
        holder.communicate()

    assert 0.2 < waited < 5
    assert put(warehouse, decisions("new"))


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path, patience_seconds=30)
    put(warehouse, decisions())
    holder = holder_of(warehouse.home.warehouse, 0.5)

    assert put(warehouse, decisions("new"))

    holder.communicate()
    assert warehouse.read("decisions", "MES", DAY, DAY)["sentence"].unique().to_list() == ["new"]


def test_threads_of_one_process_write_beside_each_other(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    days = [DAY + timedelta(days=offset) for offset in range(6)]
    failures: list[Exception] = []

    def write(day: date) -> None:
        try:
            put(warehouse, decisions(rows=20, day=day), day)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below.
            failures.append(error)

    threads = [threading.Thread(target=write, args=(day,)) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert warehouse.read("decisions", "MES", days[0], days[-1]).height == 120


def test_the_published_copy_is_whole_and_stays_open_while_the_desk_writes(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions("old"))
    market = ParquetStore(home=Home(root=tmp_path))
    market.write("bars", one_bar(), symbol="MES", session_date=DAY)

    path = warehouse.publish()

    with duckdb.connect(str(path), read_only=True) as reader:
        put(warehouse, decisions("new"))
        warehouse.publish()
        old = reader.sql("SELECT DISTINCT sentence FROM decisions").fetchall()
        bars = reader.sql("SELECT count(*) FROM bars").fetchall()
    with duckdb.connect(str(path), read_only=True) as reader:
        new = reader.sql("SELECT DISTINCT sentence FROM decisions").fetchall()
    assert (old, new, bars) == ([("old",)], [("new",)], [(1,)])
    assert path.stat().st_mode & 0o777 == 0o444
    assert list(warehouse.home.aside.iterdir()) == []


REPLACING = """
import sys
from datetime import date
from pathlib import Path
import duckdb, polars as pl
from pipelines.storage import DuckWarehouse, Home
rows = pl.read_parquet(sys.argv[2])
warehouse = DuckWarehouse(home=Home(root=Path(sys.argv[1])))
print("ready", flush=True)
while True:
    for sentence in ("a", "b"):
        warehouse.replace_partitions(
            "decisions", rows.with_columns(sentence=pl.lit(sentence)),
            symbol="MES", session_dates=[date(2024, 7, 1)])
"""


def test_a_killed_writer_leaves_one_whole_version(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions("old"))
    decisions().write_parquet(tmp_path / "rows.parquet")
    writer = run_python(REPLACING, tmp_path, tmp_path / "rows.parquet")

    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.4)
    finally:
        writer.kill()
        writer.communicate()

    rows = warehouse.read("decisions", "MES", DAY, DAY)
    assert rows.height == 390
    assert rows["sentence"].n_unique() == 1


LIMITED = """
import resource, sys
from datetime import date
from pathlib import Path
import polars as pl
from engine.errors import StorageFull
from pipelines.storage import DuckWarehouse, Home
rows = pl.read_parquet(sys.argv[2])
home = Home(root=Path(sys.argv[1]))
limit = home.warehouse.stat().st_size + 4096
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    DuckWarehouse(home=home).replace_partitions(
        "decisions", rows, symbol="MES", session_dates=[date(2024, 7, 1)])
except StorageFull as error:
    print(error)
"""


def test_a_disk_that_refuses_the_write_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions("old"))
    noise = pl.int_range(390).hash(7).cast(pl.String).repeat_by(200).list.join(" ")
    decisions().with_columns(sentence=noise).write_parquet(tmp_path / "rows.parquet")

    out, err = run_python(LIMITED, tmp_path, tmp_path / "rows.parquet").communicate(timeout=60)

    assert "warehouse.duckdb: the disk refused the write" in out, err
    assert warehouse.read("decisions", "MES", DAY, DAY).equals(decisions("old"))


def test_a_warehouse_from_before_a_column_is_opened_and_its_rows_say_so(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    plain = {"symbol": "MES", "session_date": DAY, "first_session_date": DAY, "changes_json": "{}"}
    numbers = dict.fromkeys(
        (name for name in columns_of("sweep") if name not in {*plain, "source", "is_replayed"}), 0
    )
    row = {
        **plain,
        **numbers,
        "sessions": 1,
        "is_replayed": False,
        "is_checked": False,
        "source": "generator:7",
    }
    old = pl.DataFrame([row], schema=columns_of("sweep"), strict=False)
    warehouse.replace_partitions("sweep", old, symbol="MES", session_dates=[DAY])
    with duckdb.connect(str(warehouse.home.warehouse)) as connection:
        connection.execute("ALTER TABLE sweep DROP COLUMN source")

    known = warehouse.read("sweep", "MES", DAY, DAY)
    warehouse.replace_partitions(
        "sweep", pl.concat([known, old]), symbol="MES", session_dates=[DAY]
    )

    assert known.drop("source").equals(old.drop("source"))
    assert known["source"].to_list() == ["not recorded"]
    stored = warehouse.read("sweep", "MES", DAY, DAY)
    assert stored["source"].to_list() == ["not recorded", "generator:7"]


def test_a_table_written_by_other_contracts_is_refused(tmp_path: Path) -> None:
    warehouse = warehouse_in(tmp_path)
    put(warehouse, decisions())
    with duckdb.connect(str(warehouse.home.warehouse)) as connection:
        connection.execute("ALTER TABLE decisions DROP COLUMN cause")

    with pytest.raises(SchemaError, match=r"table decisions: expected columns .*cause"):
        put(warehouse, decisions("new"))
