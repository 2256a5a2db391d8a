"""Market tables: whole files, the same bytes for the same rows, and disks that say no."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from engine.bars import BAR_COLUMNS
from engine.errors import SchemaError, StorageFull
from pipelines.storage import Home, ParquetStore, write_atomically
from pipelines.storage.atomic import HOST, STALE_SECONDS

DAY = date(2024, 7, 1)
REPOSITORY = Path(__file__).resolve().parents[2]


def bars(close_ticks: int = 24000, minutes: int = 390, day: date = DAY) -> pl.DataFrame:
    opens_at = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
    rows = [
        {
            "symbol": "MES",
            "session_date": day,
            "opens_at": opens_at + timedelta(minutes=minute),
            "closes_at": opens_at + timedelta(minutes=minute + 1),
            "minute": minute,
            **dict.fromkeys(
                ("open_ticks", "high_ticks", "low_ticks", "close_ticks"), close_ticks + minute % 7
            ),
            "volume": 10 + minute * 37 % 101,
            "source": "test",
        }
        for minute in range(minutes)
    ]
    return pl.DataFrame(rows, schema=BAR_COLUMNS)


def store_in(folder: Path) -> ParquetStore:
    return ParquetStore(home=Home(root=folder))


def put(store: ParquetStore, rows: pl.DataFrame, day: date = DAY) -> bool:
    return store.write("bars", rows, symbol="MES", session_date=day).changed


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    written = store.write("bars", bars(), symbol="MES", session_date=DAY)

    assert store.read("bars", "MES", DAY, DAY).equals(bars())
    assert (written.rows, written.changed) == (390, True)
    assert written.path == tmp_path / "market" / "bars" / "MES" / "2024-07-01.parquet"


def test_the_same_rows_give_the_same_bytes_and_no_write(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    first = store.write("bars", bars(), symbol="MES", session_date=DAY)
    stamp = first.path.stat().st_mtime_ns

    again = store.write("bars", bars(), symbol="MES", session_date=DAY)
    elsewhere = store_in(tmp_path / "b").write("bars", bars(), symbol="MES", session_date=DAY)

    assert not again.changed
    assert first.path.stat().st_mtime_ns == stamp
    assert first.sha256 == again.sha256 == elsewhere.sha256


def test_how_rows_lie_in_memory_does_not_show_in_the_bytes(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    rows = bars()
    put(store, rows)

    in_pieces = pl.concat([rows[:1], rows[1:100], rows[100:]], rechunk=False)

    assert in_pieces.n_chunks() == 3
    assert not put(store, in_pieces)


def test_other_rows_replace_the_partition(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, bars(24000))

    assert put(store, bars(25000, minutes=5))
    assert store.read("bars", "MES", DAY, DAY).equals(bars(25000, minutes=5))


def test_many_sessions_are_read_in_order(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    days = [DAY + timedelta(days=offset) for offset in (8, 0, 3)]
    for day in days:
        put(store, bars(minutes=2, day=day), day)

    rows = store.read("bars", "MES", DAY, DAY + timedelta(days=7))

    assert store.session_dates("bars", "MES") == sorted(days)
    assert rows["session_date"].to_list() == [days[1], days[1], days[2], days[2]]


def test_a_range_without_partitions_is_empty_and_typed(tmp_path: Path) -> None:
    rows = store_in(tmp_path).read("bars", "MES", DAY, DAY)

    assert rows.height == 0
    assert rows.schema["closes_at"] == pl.Datetime("us", "UTC")


def test_a_partition_can_be_removed_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, bars())

    assert store.remove("bars", symbol="MES", session_date=DAY)
    assert not store.remove("bars", symbol="MES", session_date=DAY)
    assert store.session_dates("bars", "MES") == []


def test_rows_that_do_not_fit_the_schema_are_never_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, bars())
    impossible = bars().with_columns(high_ticks=pl.col("low_ticks") - 1)

    with pytest.raises(SchemaError, match="high_ticks"):
        put(store, impossible)
    with pytest.raises(SchemaError, match="volume"):
        put(store, bars().drop("volume"))

    assert store.read("bars", "MES", DAY, DAY).equals(bars())


def test_rows_of_another_session_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="expected rows of MES 2024-07-01, got 2 others"):
        put(store_in(tmp_path), bars(minutes=2, day=date(2024, 7, 2)))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    days = [DAY, date(2024, 7, 2)]
    for day in days:
        put(store, bars(day=day), day)
    damaged = store.home.partition("bars", "MES", days[1])
    damaged.write_bytes(damaged.read_bytes()[:100])

    with pytest.raises(SchemaError, match=r"2024-07-02\.parquet: .*delete the file"):
        store.read("bars", "MES", *days)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A second process that can import the desk."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


LIMITED = """
import resource, sys
from pathlib import Path
from engine.errors import StorageFull
from pipelines.storage.atomic import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]) / "file", b"new" * 1000, Path(sys.argv[1]) / "aside")
except StorageFull as error:
    print(error)
"""


def test_a_write_the_disk_refuses_leaves_the_previous_version(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old" * 1000, tmp_path / "aside")

    out, err = run_python(LIMITED, tmp_path).communicate(timeout=60)

    assert "file: the disk refused the write (File too large" in out, err
    assert "the previous version is intact; free some space and run again" in out
    assert (tmp_path / "file").read_bytes() == b"old" * 1000
    assert list((tmp_path / "aside").iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A mounted file system of 64 kB, where the machine allows one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here; the file size limit above tests the same path")
    if done.returncode:
        pytest.skip("mounting is not allowed here; the file size limit above tests the same path")
    return tmp_path


def test_a_mounted_disk_that_is_full_keeps_the_old_file(tiny_disk: Path) -> None:
    try:
        store = store_in(tiny_disk)
        put(store, bars(24000))
        filler = tiny_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 70_000)

        with pytest.raises(StorageFull, match="No space left on device; 0 MB free"):
            put(store, bars(25000))

        assert store.read("bars", "MES", DAY, DAY).equals(bars(24000))
        filler.unlink()
        assert put(store, bars(25000))
    finally:
        subprocess.run(["umount", "-l", str(tiny_disk)], check=True)


REWRITING = """
import sys
from pathlib import Path
from pipelines.storage.atomic import write_atomically
folder = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_atomically(folder / "file", letter * 20_000_000, folder / "aside")
"""


def test_a_killed_writer_leaves_a_whole_file_and_its_leftovers_are_cleared(tmp_path: Path) -> None:
    versions = [letter * 20_000_000 for letter in (b"a", b"b")]
    write_atomically(tmp_path / "file", versions[1], tmp_path / "aside")
    leftovers = []

    for _ in range(2):
        writer = run_python(REWRITING, tmp_path)
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            leftovers = _wait_for_half_a_file(tmp_path / "aside")
        finally:
            writer.kill()
            writer.communicate()
        assert (tmp_path / "file").read_bytes() in versions

    assert leftovers
    write_atomically(tmp_path / "file", b"c", tmp_path / "aside")
    assert list((tmp_path / "aside").iterdir()) == []


def test_another_machine_keeps_what_it_is_writing_for_a_day(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", ""])
    writer.wait()
    pid, aside = writer.pid, tmp_path / "aside"
    theirs = "0" * 8 if HOST != "0" * 8 else "1" * 8
    ours, new, old = (
        aside / f"{host}-{pid}-{thread}-file"
        for host, thread in ((HOST, 1), (theirs, 2), (theirs, 3))
    )
    aside.mkdir()
    for half in (ours, new, old):
        half.write_bytes(b"half")
    long_ago = time.time() - STALE_SECONDS - 60
    os.utime(old, (long_ago, long_ago))

    write_atomically(tmp_path / "file", b"whole", aside)

    assert list(aside.iterdir()) == [new]


def _wait_for_half_a_file(aside: Path) -> list[Path]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in aside.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if 0 < path.stat().st_size < 20_000_000:
                    return [path]
    pytest.fail("the writer was never seen in the middle of a write")


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, bars(24000))
    versions = [bars(24000), bars(25000)]
    stop, seen_both = threading.Event(), False

    def rewrite() -> None:
        while not stop.is_set():
            for version in versions:
                put(store, version)

    writer = threading.Thread(target=rewrite)
    writer.start()
    reads: list[pl.DataFrame] = []
    deadline = time.monotonic() + 20
    try:
        while len(reads) < 60 or (not seen_both and time.monotonic() < deadline):
            reads.append(store.read("bars", "MES", DAY, DAY))
            seen_both = all(any(read.equals(version) for read in reads) for version in versions)
    finally:
        stop.set()
        writer.join()

    assert seen_both
    assert all(any(read.equals(version) for version in versions) for read in reads)


def test_a_plain_overwrite_would_have_been_caught(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    bars().write_parquet(path)
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])  # What a reader sees in the middle of a plain write.

    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(path)
