"""LEAN zips: real bars, the front month, and files that are not what they claim."""

import shutil
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import CheckedBars, check_bars
from engine.errors import SourceError
from pipelines.sources import parse_source, read_source

RULES = load_rules()
FIRST, LAST = date(2013, 10, 7), date(2013, 10, 14)


def checked(folder: Path) -> CheckedBars:
    raw = read_source(f"lean:{folder}", "MES", date(2013, 10, 6), LAST)
    return check_bars(raw, RULES.instrument, sessions_between(FIRST, LAST, RULES.session))


def write_day(folder: Path, day: str, volumes: dict[str, int], minutes: int = 3) -> None:
    """A day of bars at one price; `volumes` is the volume of each bar by expiry."""
    ms = [48_600_000 + minute * 60_000 for minute in range(minutes)]  # From 13:30 UTC.
    with zipfile.ZipFile(folder / f"{day}_trade.zip", "w") as archive:
        for expiry, volume in volumes.items():
            lines = [f"{at},1669,1669.25,1669,1669.25,{volume}" for at in ms]
            archive.writestr(f"{day}_es_minute_trade_{expiry}.csv", "\n".join(lines) + "\n")


def test_six_real_sessions_are_complete_and_clean(real_bars_dir: Path) -> None:
    result = checked(real_bars_dir)

    per_session = result.bars.group_by("session_date", maintain_order=True).agg(
        pl.len().alias("bars"),
        pl.col("volume").sum(),
        pl.col("open_ticks").first(),
        pl.col("close_ticks").last(),
    )
    assert per_session.rows() == [
        (date(2013, 10, 7), 390, 633_129, 6676, 6678),
        (date(2013, 10, 8), 390, 988_476, 6676, 6598),
        (date(2013, 10, 9), 390, 1_037_624, 6611, 6602),
        (date(2013, 10, 10), 390, 880_690, 6670, 6747),
        (date(2013, 10, 11), 390, 589_983, 6737, 6790),
        (date(2013, 10, 14), 390, 1_198_874, 6748, 6819),
    ]
    assert (result.rows, result.rejected.height, result.outside_rth) == (8198, 0, 5858)
    assert result.bars["source"].unique().to_list() == ["lean:201312"]


def test_real_quotes_are_those_at_the_close_of_the_minute(real_bars_dir: Path) -> None:
    bars = checked(real_bars_dir).bars

    first = bars.row(0, named=True)
    assert first["opens_at"] == datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
    assert (first["bid_ticks"], first["close_ticks"], first["ask_ticks"]) == (6677, 6678, 6678)
    assert bars["bid_ticks"].null_count() == 0
    spread = (bars["ask_ticks"] - bars["bid_ticks"]).value_counts(sort=True).rows()
    assert spread == [(1, 2337), (2, 2), (0, 1)]


def test_an_empty_side_of_the_quote_is_unknown(tmp_path: Path) -> None:
    write_day(tmp_path, "20131209", {"201312": 100})
    with zipfile.ZipFile(tmp_path / "20131209_quote.zip", "w") as archive:
        archive.writestr(
            "20131209_es_minute_quote_201312.csv",
            "48600000,1669,1669,1669,1669,5,,,,,0\n48720000,,,,,0,1669,1669,1669,1669.5,3\n",
        )

    raw = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9))

    assert raw.select("bid", "ask").rows() == [("1669", None), (None, None), (None, "1669.5")]


def test_the_front_month_is_known_from_the_day_before(tmp_path: Path) -> None:
    write_day(tmp_path, "20131209", {"201312": 100, "201403": 10})
    write_day(tmp_path, "20131210", {"201312": 40, "201403": 60})
    write_day(tmp_path, "20131211", {"201312": 30, "201403": 80})

    raw = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 11))

    by_day = raw.group_by(pl.col("opens_at").dt.day(), maintain_order=True).agg(
        pl.col("source").unique()
    )
    assert by_day.rows() == [(9, ["lean:201312"]), (10, ["lean:201312"]), (11, ["lean:201403"])]


def test_the_front_month_of_a_day_does_not_depend_on_the_range_asked_for(tmp_path: Path) -> None:
    write_day(tmp_path, "20131209", {"201312": 100, "201403": 10})
    write_day(tmp_path, "20131210", {"201312": 40, "201403": 60})

    alone = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 10), date(2013, 12, 10))

    assert alone["source"].unique().to_list() == ["lean:201312"]


def test_an_expired_leader_gives_way_to_the_leader_of_the_day(tmp_path: Path) -> None:
    write_day(tmp_path, "20131220", {"201312": 100, "201403": 10})
    write_day(tmp_path, "20131223", {"201403": 10, "201406": 1})

    raw = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 23), date(2013, 12, 23))

    assert raw["source"].unique().to_list() == ["lean:201403"]


def test_a_day_without_quotes_has_bars_with_unknown_quotes(tmp_path: Path) -> None:
    write_day(tmp_path, "20131209", {"201312": 100})

    raw = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9))

    assert raw["bid"].null_count() == raw.height == 3


def test_a_minute_without_a_trade_has_no_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "20131209_trade.zip", "w") as archive:
        archive.writestr(
            "20131209_es_minute_trade_201312.csv",
            "52200000,1800,1800,1800,1800,1\n52320000,1801,1801,1801,1801,1\n",
        )

    raw = read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9))

    assert raw["opens_at"].dt.minute().to_list() == [30, 32]


def test_a_truncated_zip_is_named_with_what_to_do(tmp_path: Path, real_bars_dir: Path) -> None:
    name = "20131008_trade.zip"
    shutil.copy(real_bars_dir / name, tmp_path / name)
    (tmp_path / name).chmod(0o644)
    with (tmp_path / name).open("r+b") as file:
        file.truncate(9_000)

    with pytest.raises(SourceError, match=rf"{name}: expected a whole zip.*fetch this file again"):
        read_source(f"lean:{tmp_path}", "MES", FIRST, LAST)


def test_a_flipped_byte_in_a_zip_is_caught_by_its_checksum(
    tmp_path: Path, real_bars_dir: Path
) -> None:
    name = "20131008_trade.zip"
    content = bytearray((real_bars_dir / name).read_bytes())
    content[2_000] ^= 0xFF
    (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError, match=rf"{name}: expected a whole zip"):
        read_source(f"lean:{tmp_path}", "MES", FIRST, LAST)


def test_a_line_cut_short_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "20131209_trade.zip", "w") as archive:
        archive.writestr("20131209_es_minute_trade_201312.csv", "52200000,1800,1800,1800\n")

    with pytest.raises(SourceError, match=r"expected 6 values a line.*got 4"):
        read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9))


def test_an_unreadable_time_becomes_a_rejected_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "20131209_trade.zip", "w") as archive:
        archive.writestr(
            "20131209_es_minute_trade_201312.csv",
            "52200000,1800,1800,1800,1800,1\n5226x,1801,1801,1801,1801,1\n",
        )
    sessions = sessions_between(date(2013, 12, 9), date(2013, 12, 9), RULES.session)

    result = check_bars(
        read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9)),
        RULES.instrument,
        sessions,
    )

    kept = result.rejected.row(0, named=True)
    assert (kept["reason"], kept["source_row"]) == ("missing_time", 2)
    assert kept["opens_at_text"] == "2013-12-09 UTC + 5226x ms"


def test_another_product_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "20131209_trade.zip", "w") as archive:
        archive.writestr("20131209_cl_minute_trade_201312.csv", "52200000,1,1,1,1,1\n")

    with pytest.raises(SourceError, match="expected MES bars \\(es or mes\\), got cl"):
        read_source(f"lean:{tmp_path}", "MES", date(2013, 12, 9), date(2013, 12, 9))


def test_a_folder_without_lean_files_says_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")

    with pytest.raises(SourceError, match=r"YYYYMMDD_trade\.zip in .*, found notes\.txt"):
        parse_source(f"lean:{tmp_path}").date_range()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a folder"):
        read_source(f"lean:{tmp_path / 'none'}", "MES", FIRST, LAST)


def test_a_range_without_files_is_empty(real_bars_dir: Path) -> None:
    raw = read_source(f"lean:{real_bars_dir}", "MES", date(2020, 1, 1), date(2020, 1, 31))

    assert raw.height == 0
    assert raw.schema["opens_at"] == pl.Datetime("us", "UTC")


def test_the_range_of_a_folder_is_that_of_its_files(real_bars_dir: Path) -> None:
    source = parse_source(f"lean:{real_bars_dir}")

    assert source.date_range() == (date(2013, 10, 6), LAST)
