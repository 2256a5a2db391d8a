"""CSV and Parquet files: the good ones in every dialect, the bad ones by name."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import CheckedBars, check_bars
from engine.errors import SourceError
from pipelines.sources import parse_source, read_source

RULES = load_rules()
DAY = date(2024, 7, 2)
OPEN = datetime(2024, 7, 2, 13, 30, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume"
PRICES = "6000,6001.25,5999.75,6000.5,10"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def read(spec: str) -> CheckedBars:
    raw = read_source(spec, "MES", DAY, DAY)
    return check_bars(raw, RULES.instrument, sessions_between(DAY, DAY, RULES.session))


@pytest.mark.parametrize(
    ("time", "options"),
    [
        ("2024-07-02 08:30:00", "?tz=America/Chicago"),
        ("2024-07-02 9:30", "?tz=America/New_York"),
        ("2024-07-02T13:30:00Z", ""),
        ("2024-07-02T09:30:00-04:00", ""),
        ("2024-07-02 19:00:00.000+0530", ""),
        ("20240702 093000", "?tz=America/New_York"),
        ("2024/07/02 13:30", "?tz=UTC"),
        ("2024-07-02 09:31", "?tz=America/New_York&stamp=close"),
        ("1719927000", ""),
        ("1719927000000", ""),
        ("1719927000000000", ""),
    ],
)
def test_a_csv_time_is_the_same_instant_in_every_dialect(
    tmp_path: Path, time: str, options: str
) -> None:
    path = write(tmp_path / "bars.csv", HEADER, f"{time},{PRICES}")

    bars = read(f"csv:{path}{options}").bars

    assert bars["opens_at"].to_list() == [OPEN]
    assert bars.select("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume").row(0) == (
        (24000, 24005, 23999, 24002, 10)
    )


@pytest.mark.parametrize(
    "header",
    [
        "Time,Open,High,Low,Close,Volume",
        "timestamp,o,h,l,c,v",
        "opens_at,open,high,low,close,vol",
        " DateTime , OPEN,HIGH,LOW,CLOSE,VOLUME ",
    ],
)
def test_columns_are_found_by_their_conventional_names(tmp_path: Path, header: str) -> None:
    path = write(tmp_path / "bars.csv", header, f"2024-07-02 13:30,{PRICES}")

    assert read(f"csv:{path}?tz=UTC").bars["close_ticks"].to_list() == [24002]


def test_date_and_time_in_two_columns_are_joined(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bars.csv",
        "date,time,open,high,low,close,volume",
        f"2024-07-02,09:30,{PRICES}",
    )

    assert read(f"csv:{path}?tz=America/New_York").bars["opens_at"].to_list() == [OPEN]


def test_a_column_of_closing_times_is_understood_as_such(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bars.csv",
        "closes_at,open,high,low,close,volume,bid,ask,trades",
        f"2024-07-02T13:31:00Z,{PRICES},6000.25,6000.5,4",
    )

    row = read(f"csv:{path}").bars.row(0, named=True)

    assert row["opens_at"] == OPEN
    assert (row["bid_ticks"], row["ask_ticks"], row["trades"]) == (24001, 24002, 4)


def test_faulty_rows_are_rejected_with_their_line_number(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bars.csv",
        HEADER,
        f"2024-07-02 13:31,{PRICES}",
        f"2024-07-02 13:30,{PRICES}",
        "2024-07-02 13:32,6000.1,6001.25,5999.75,6000.5,10",
        "2024-07-02 13:33,6000,6001.25,5999.75,NaN,10",
        "2024-07-02 13:34,6000,6001.25,5999.75,6000.5,-4",
        f"2024-07-02 13:31,{PRICES}",
        f"tomorrow,{PRICES}",
        "2024-07-02 13:35,6000,6001.25,5999.75,6000.5",
    )

    checked = read(f"csv:{path}?tz=UTC")

    assert checked.bars["minute"].to_list() == [0, 1]
    assert checked.out_of_order == 2
    assert checked.rejected.select("source_row", "reason").rows() == [
        (4, "off_grid"),
        (5, "missing_price"),
        (6, "negative_volume"),
        (7, "duplicate_identical"),
        (8, "missing_time"),
        (9, "missing_volume"),
    ]
    assert checked.rejected["opens_at_text"][4] == "tomorrow"


def test_times_without_a_zone_are_refused_and_the_option_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", HEADER, f"2024-07-02 09:30,{PRICES}")

    with pytest.raises(SourceError, match=rf"state no time zone.*csv:{path}\?tz=America/Chicago"):
        read(f"csv:{path}")


def test_an_unknown_zone_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean America/Chicago"):
        parse_source(f"csv:{tmp_path / 'bars.csv'}?tz=America/Chicgo")


@pytest.mark.parametrize("options", ["?zone=UTC", "?tz=UTC&stamp=middle"])
def test_an_unknown_option_is_refused(tmp_path: Path, options: str) -> None:
    with pytest.raises(SourceError, match=r"unknown option zone|stamp=open or stamp=close"):
        parse_source(f"csv:{tmp_path / 'bars.csv'}{options}")


def test_a_missing_column_is_named_with_the_names_it_may_have(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", "time,open,high,low,volume", "2024-07-02 09:30,1,1,1,1")

    with pytest.raises(
        SourceError,
        match=r"bars\.csv: missing column close \(as close, c\); found time, open, high, low, vol",
    ):
        read(f"csv:{path}?tz=UTC")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("")

    with pytest.raises(SourceError, match=r"bars\.csv: expected .*is empty"):
        read(f"csv:{path}?tz=UTC")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot open the file"):
        read(f"csv:{tmp_path / 'none.csv'}?tz=UTC")


def test_mixed_contracts_are_refused_with_the_row_of_the_change(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bars.csv",
        "symbol," + HEADER,
        f"MESM4,2024-07-02 13:30,{PRICES}",
        f"MESM4,2024-07-02 13:31,{PRICES}",
        f"MESU4,2024-07-02 13:32,{PRICES}",
    )

    with pytest.raises(SourceError, match=r"row 4: expected one contract.*MESU4 after MESM4"):
        read(f"csv:{path}?tz=UTC")


def test_bars_of_another_instrument_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", "symbol," + HEADER, f"NQU4,2024-07-02 13:30,{PRICES}")

    with pytest.raises(SourceError, match="expected bars of MES, got NQU4"):
        read(f"csv:{path}?tz=UTC")


@pytest.mark.parametrize("name", ["MES", "mesu4", "MESU2024", "ES", "ESZ3"])
def test_the_contract_and_its_full_size_sibling_are_accepted(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "bars.csv", "ticker," + HEADER, f"{name},2024-07-02 13:30,{PRICES}")

    assert read(f"csv:{path}?tz=UTC").bars["symbol"].to_list() == ["MES"]


def test_unreadable_times_are_refused_with_an_example(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", HEADER, f"07/02/2024 9:30 AM,{PRICES}")

    with pytest.raises(SourceError, match=r"could read 0 of 1, not '07/02/2024 9:30 AM'"):
        read(f"csv:{path}?tz=UTC")


def test_a_line_with_too_many_values_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", HEADER, f"2024-07-02 13:30,{PRICES},9,9")

    with pytest.raises(SourceError, match="as many values as the header"):
        read(f"csv:{path}?tz=UTC")


def parquet(path: Path, **columns: object) -> Path:
    frame = {
        "time": [OPEN],
        "open": [6000.0],
        "high": [6001.25],
        "low": [5999.75],
        "close": [6000.5],
        "volume": [10],
        **columns,
    }
    pl.DataFrame(frame).write_parquet(path)
    return path


def test_a_parquet_time_with_a_zone_needs_no_option(tmp_path: Path) -> None:
    local = OPEN.astimezone(ZoneInfo("America/Chicago"))
    path = parquet(tmp_path / "bars.parquet", time=[local])

    assert read(f"parquet:{path}").bars["opens_at"].to_list() == [OPEN]


def test_a_parquet_time_without_a_zone_needs_the_option(tmp_path: Path) -> None:
    path = parquet(tmp_path / "bars.parquet", time=[datetime(2024, 7, 2, 8, 30)])  # noqa: DTZ001

    with pytest.raises(SourceError, match=r"parquet:.*\?tz=America/Chicago"):
        read(f"parquet:{path}")
    assert read(f"parquet:{path}?tz=America/Chicago").bars["opens_at"].to_list() == [OPEN]


def test_single_precision_prices_mean_their_shortest_text(tmp_path: Path) -> None:
    price = pl.Series([70.07], dtype=pl.Float32)
    path = parquet(tmp_path / "bars.parquet", open=price, high=price, low=price, close=price)

    raw = read_source(f"parquet:{path}", "MES", DAY, DAY)

    assert raw["close"].to_list() == ["70.07"]


def test_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "bars.parquet")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(SourceError, match="expected a whole Parquet file"):
        read(f"parquet:{path}")


def test_a_file_replaced_between_two_reads_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.csv", HEADER, f"2024-07-02 13:30,{PRICES}")
    source = parse_source(f"csv:{path}?tz=UTC")
    before = source.read("MES", DAY, DAY).height

    write(path, HEADER, f"2024-07-02 13:30,{PRICES}", f"2024-07-02 13:31,{PRICES}")

    assert (before, source.read("MES", DAY, DAY).height) == (1, 2)


def test_a_file_is_read_by_its_dates(tmp_path: Path) -> None:
    days = [OPEN + timedelta(days=offset) for offset in range(3)]
    path = write(tmp_path / "bars.csv", HEADER, *(f"{day:%Y-%m-%d %H:%M},{PRICES}" for day in days))
    source = parse_source(f"csv:{path}?tz=UTC")

    middle = source.read("MES", date(2024, 7, 3), date(2024, 7, 3))

    assert source.date_range() == (date(2024, 7, 2), date(2024, 7, 4))
    assert middle["source_row"].to_list() == [3]


def test_a_zone_like_no_other_gets_no_guess(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"got tz=Mars/Phobos$"):
        parse_source(f"csv:{tmp_path / 'bars.csv'}?tz=Mars/Phobos")


@pytest.mark.parametrize("rows", ["", "\n", "\n\n"])
def test_a_file_with_a_header_alone_is_said_to_have_no_rows(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"{HEADER}\n{rows}")

    with pytest.raises(SourceError, match="has a header but no rows"):
        parse_source(f"csv:{path}?tz=UTC").date_range()
