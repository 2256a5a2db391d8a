"""From a source to stored bars: what is kept, what changes, what a failure leaves behind."""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from assets.ingest import IngestedSession, ingest
from contracts import load_rules
from engine.errors import CalendarError, SourceError
from pipelines.sources import parse_source
from pipelines.storage import Home, ParquetStore

RULES = load_rules()
FIRST, LAST = date(2024, 7, 1), date(2024, 7, 5)
HEADER = "time,open,high,low,close,volume"
PRICES = "6000,6001.25,5999.75,6000.5,10"


def store_in(folder: Path) -> ParquetStore:
    return ParquetStore(home=Home(root=folder / "home"))


def csv_of(path: Path, times: list[str], prices: str = PRICES) -> Path:
    path.write_text("\n".join([HEADER, *(f"{time},{prices}" for time in times)]) + "\n")
    return path


def test_generated_sessions_are_stored_one_by_one(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    seen: list[tuple[date, int]] = []

    def progress(session: IngestedSession, sessions: int) -> None:
        seen.append((session.session_date, sessions))

    report = ingest(parse_source("generator:7"), RULES, store, FIRST, LAST, progress)

    assert [(each.session_date.day, each.bars) for each in report.sessions] == [
        (1, 390),
        (2, 390),
        (3, 210),
        (5, 390),
    ]
    assert (report.bars, report.rejected, report.changed_sessions) == (1380, 0, 4)
    assert [count for _, count in seen] == [4, 4, 4, 4]
    assert store.session_dates("bars", "MES") == [day for day, _ in seen]
    assert store.read("bars", "MES", FIRST, LAST).height == 1380


def test_ingesting_again_changes_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    source = parse_source("generator:7")
    ingest(source, RULES, store, FIRST, LAST)
    files = sorted(store.home.market.rglob("*.parquet"))
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]

    again = ingest(source, RULES, store, FIRST, LAST)
    one_day = ingest(source, RULES, store, date(2024, 7, 3), date(2024, 7, 3))

    assert again.changed_sessions == one_day.changed_sessions == 0
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def test_other_values_change_only_their_own_session(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = csv_of(tmp_path / "bars.csv", ["2024-07-01 13:30", "2024-07-02 13:30"])
    ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)
    path.write_text(path.read_text() + f"2024-07-02 13:31,{PRICES}\n")

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    assert [(each.session_date.day, each.changed) for each in report.sessions] == [
        (1, False),
        (2, True),
    ]


def test_a_session_that_would_lose_bars_stays_and_the_others_go_through(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    times = ["2024-07-01 13:30", "2024-07-01 13:31", "2024-07-02 13:30"]
    path = csv_of(tmp_path / "bars.csv", times)
    ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)
    csv_of(path, ["2024-07-01 13:31", "2024-07-01 13:32", "2024-07-02 13:30", "2024-07-02 13:31"])

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    (refused,) = report.refused
    assert (refused.session_date.day, refused.bars_before, refused.minutes_lost) == (1, 2, 1)
    assert [(each.session_date.day, each.bars, each.changed) for each in report.sessions] == [
        (2, 2, True)
    ]
    assert store.read("bars", "MES", FIRST, LAST)["minute"].to_list() == [0, 1, 0, 1]


def test_a_stored_session_whose_every_row_turned_bad_is_not_emptied(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = csv_of(tmp_path / "bars.csv", ["2024-07-01 13:30"])
    ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)
    csv_of(path, ["2024-07-01 13:30"], "6000.1,6001,5999,6000,10")

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    assert [each.minutes_lost for each in report.refused] == [1]
    assert store.read("bars", "MES", FIRST, LAST).height == 1
    assert store.read("rejected_bars", "MES", FIRST, LAST).height == 0


def test_changed_values_of_the_same_minutes_are_a_correction(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = csv_of(tmp_path / "bars.csv", ["2024-07-01 13:30"])
    ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)
    csv_of(path, ["2024-07-01 13:30"], "6000,6001.25,5999.75,6000.75,10")

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    assert (report.changed_sessions, report.refused) == (1, ())
    assert store.read("bars", "MES", FIRST, LAST)["close_ticks"].to_list() == [24003]


def test_rejected_rows_are_stored_beside_the_bars_even_on_a_holiday(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    july_3 = ["2024-07-03 13:30", "2024-07-03 13:30"]
    holiday = ["2024-07-04 14:00", "2024-07-04 22:00"]
    weekend = ["2024-07-06 14:00", "2024-07-06 14:01"]
    path = csv_of(tmp_path / "bars.csv", [*july_3, *holiday, "2024-07-05 13:30", *weekend])

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    rejected = store.read("rejected_bars", "MES", FIRST, date(2024, 7, 31))
    assert rejected.select("session_date", "source_row", "reason").rows() == [
        (date(2024, 7, 3), 3, "duplicate_identical"),
        (date(2024, 7, 4), 4, "no_session"),
        (date(2024, 7, 6), 7, "no_session"),
        (date(2024, 7, 6), 8, "no_session"),
    ]
    outside = sum(each.outside_rth for each in report.sessions)
    assert report.bars + report.rejected + outside == 7


def test_a_corrected_source_removes_what_was_rejected_before(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    times = ["2024-07-03 13:30", "2024-07-03 13:30", "2024-07-04 14:00", "2024-07-05 13:30"]
    path = csv_of(tmp_path / "bars.csv", times)
    ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    csv_of(path, ["2024-07-03 13:30", "2024-07-05 13:30"])
    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    assert store.read("rejected_bars", "MES", FIRST, LAST).height == 0
    assert [each.changed for each in report.sessions] == [True, True]


def test_a_session_whose_every_row_is_bad_is_stored_as_rejected(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = csv_of(tmp_path / "bars.csv", ["2024-07-01 13:30"])
    path.write_text(path.read_text() + "2024-07-02 13:30,6000.1,6001,5999,6000,10\n")

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    assert report.missing == (date(2024, 7, 2),)
    assert store.read("bars", "MES", date(2024, 7, 2), date(2024, 7, 2)).height == 0
    assert store.read("rejected_bars", "MES", FIRST, LAST)["reason"].to_list() == ["off_grid"]


def test_real_bars_are_stored_without_loss(tmp_path: Path, real_bars_dir: Path) -> None:
    report = ingest(parse_source(f"lean:{real_bars_dir}"), RULES, store_in(tmp_path))

    assert [each.bars for each in report.sessions] == [390] * 6
    assert report.rejected == 0
    outside = sum(each.outside_rth for each in report.sessions)
    assert report.bars + outside == 8198


def test_a_bad_file_in_the_middle_leaves_the_sessions_before_it_stored(
    tmp_path: Path, real_bars_dir: Path
) -> None:
    folder = tmp_path / "lean"
    folder.mkdir()
    for path in real_bars_dir.iterdir():
        shutil.copyfile(path, folder / path.name)
    with (folder / "20131010_quote.zip").open("r+b") as file:
        file.truncate(20_000)
    store = store_in(tmp_path)

    with pytest.raises(SourceError, match=r"20131010_quote\.zip.*3 sessions up to 2013-10-09"):
        ingest(parse_source(f"lean:{folder}"), RULES, store)

    assert [day.day for day in store.session_dates("bars", "MES")] == [7, 8, 9]


def test_nothing_is_stored_when_the_zone_is_wrong(tmp_path: Path) -> None:
    times = [f"2024-07-01 {hour:02}:{minute:02}" for hour in range(9, 16) for minute in range(60)]
    path = csv_of(tmp_path / "bars.csv", times[30:])
    store = store_in(tmp_path)

    with pytest.raises(SourceError, match=r"if the times were \+4 h.*is the zone right"):
        ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)
    report = ingest(parse_source(f"csv:{path}?tz=America/New_York"), RULES, store)

    assert report.bars == 390
    assert store.session_dates("bars", "MES") == [date(2024, 7, 1)]


def test_sessions_that_the_source_lacks_are_named(tmp_path: Path, real_bars_dir: Path) -> None:
    report = ingest(
        parse_source(f"lean:{real_bars_dir}"),
        RULES,
        store_in(tmp_path),
        date(2013, 10, 3),
        date(2013, 10, 8),
    )

    assert report.missing == (date(2013, 10, 3), date(2013, 10, 4))
    assert [each.session_date.day for each in report.sessions] == [7, 8]


def test_a_range_the_source_knows_nothing_of_is_refused(
    tmp_path: Path, real_bars_dir: Path
) -> None:
    with pytest.raises(SourceError, match="got none; the source has 2013-10-06 to 2013-10-14"):
        ingest(
            parse_source(f"lean:{real_bars_dir}"),
            RULES,
            store_in(tmp_path),
            date(2014, 1, 2),
            date(2014, 1, 3),
        )


def test_a_range_of_holidays_is_refused(tmp_path: Path) -> None:
    day = date(2024, 7, 4)

    with pytest.raises(CalendarError, match="no session from 2024-07-04 to 2024-07-04"):
        ingest(parse_source("generator:7"), RULES, store_in(tmp_path), day, day)


def test_the_generator_needs_to_be_told_the_dates(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="say which: --from DATE --to DATE"):
        ingest(parse_source("generator:7"), RULES, store_in(tmp_path))


def test_a_stored_bar_is_the_bar_that_was_checked(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = csv_of(tmp_path / "bars.csv", ["2024-07-01 13:31", "2024-07-01 13:30"])

    report = ingest(parse_source(f"csv:{path}?tz=UTC"), RULES, store)

    stored = store.read("bars", "MES", FIRST, LAST)
    assert stored.select("minute", "open_ticks", "close_ticks", "source").rows() == [
        (0, 24000, 24002, "csv:bars.csv"),
        (1, 24000, 24002, "csv:bars.csv"),
    ]
    assert stored.schema["closes_at"] == pl.Datetime("us", "UTC")
    assert report.sessions[0].out_of_order == 1
