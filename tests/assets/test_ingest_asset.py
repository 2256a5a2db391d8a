"""The asset and the command bring bars in by one function, and what it refuses reaches the run."""

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path

import dagster as dg
import pytest
from lineage import Lineage, bytes_of, materialized

from assets.ingest import ingest
from engine.errors import SourceError
from pipelines.sources import parse_source

Fresh = Callable[..., Lineage]
PRICES = "6000,6001.25,5999.75,6000.5,10"


def csv_of(path: Path, *times: str) -> str:
    rows = [f"{time},{PRICES}" for time in times]
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
    return f"csv:{path}?tz=UTC"


def ingested(lineage: Lineage, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
    result: dg.ExecuteInProcessResult = lineage.materialize(
        "bars", "rejected_bars", first=first, last=last
    )
    return result


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.user_failure_data.description)


def stored_days(lineage: Lineage, asset: str) -> list[str]:
    return sorted(lineage.instance.get_materialized_partitions(dg.AssetKey(asset)))


def test_the_asset_stores_what_the_command_stores(fresh: Fresh, tmp_path: Path) -> None:
    times = ["2024-07-03 13:30", "2024-07-03 13:30", "2024-07-04 14:00", "2024-07-05 13:30"]
    source = csv_of(tmp_path / "bars.csv", *times, "2024-07-06 14:00", "2024-07-08 13:30")
    by_command, by_asset, day_by_day = (
        fresh(name, source) for name in ("command", "asset", "days")
    )

    wiring = by_command.wiring
    ingest(wiring.source, wiring.rules, wiring.market, date(2024, 7, 3), date(2024, 7, 8))
    ingested(by_asset, "2024-07-03", "2024-07-08")
    for day in ("2024-07-03", "2024-07-05", "2024-07-08"):
        ingested(day_by_day, day)

    assert bytes_of(by_asset.root) == bytes_of(by_command.root) == bytes_of(day_by_day.root)
    assert "rejected_bars/MES/2024-07-06.parquet" in bytes_of(by_asset.root)


def test_rejected_rows_are_told_by_reason(fresh: Fresh, tmp_path: Path) -> None:
    times = ["2024-07-03 13:30", "2024-07-03 13:30", "2024-07-04 14:00", "2024-07-05 13:30"]
    lineage = fresh("home", csv_of(tmp_path / "bars.csv", *times, "2024-07-05 22:00"))

    told = materialized(ingested(lineage, "2024-07-03", "2024-07-05"))

    assert told["rejected_bars 2024-07-03"] == {
        "dagster/row_count": 1,
        "rejected duplicate_identical": 1,
    }
    assert told["rejected_bars 2024-07-05"] == {"dagster/row_count": 1, "rejected no_session": 1}
    assert told["bars 2024-07-05"] == {
        "dagster/row_count": 1,
        "expected_bars": 390,
        "outside_rth": 1,
        "out_of_order": 0,
        "as_the_desk_saw_them": 0,
        "told_otherwise_by_the_source": 0,
        "source": f"csv:{tmp_path / 'bars.csv'}",
        "sha256": sha256(lineage.path("bars", "2024-07-05").read_bytes()).hexdigest(),
        "partitions_changed": 2,
    }


def test_a_session_that_the_source_lacks_fails_the_run_and_keeps_the_others(
    fresh: Fresh, tmp_path: Path
) -> None:
    lineage = fresh("home", csv_of(tmp_path / "bars.csv", "2024-07-02 13:30", "2024-07-05 13:30"))

    result = ingested(lineage, "2024-07-02", "2024-07-05")

    assert not result.success
    assert "none for 1: 2024-07-03. The other 2 are stored" in failure_of(result)
    assert stored_days(lineage, "bars") == ["2024-07-02", "2024-07-05"]
    assert stored_days(lineage, "rejected_bars") == ["2024-07-02", "2024-07-05"]
    assert lineage.wiring.market.session_dates("bars", "MES") == [
        date(2024, 7, 2),
        date(2024, 7, 5),
    ]


def test_a_session_that_would_lose_bars_fails_the_run_and_keeps_them(
    fresh: Fresh, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    source = csv_of(path, "2024-07-02 13:30", "2024-07-02 13:31", "2024-07-03 13:30")
    lineage = fresh("home", source)
    ingested(lineage, "2024-07-02", "2024-07-03")
    csv_of(path, "2024-07-02 13:30", "2024-07-03 13:30", "2024-07-03 13:31")

    result = ingested(lineage, "2024-07-02", "2024-07-03")

    assert not result.success
    assert (
        "2024-07-02: 2 bars are stored, the source has 1 and lacks 1 of the stored minutes"
    ) in failure_of(result)
    assert lineage.stored("bars", "2024-07-02")["minute"].to_list() == [0, 1]
    assert lineage.stored("bars", "2024-07-03")["minute"].to_list() == [0, 1]


def test_a_source_in_the_wrong_zone_fails_the_run_before_anything_is_stored(
    fresh: Fresh, tmp_path: Path
) -> None:
    times = [f"2024-07-02 {hour:02}:{minute:02}" for hour in range(9, 16) for minute in range(60)]
    lineage = fresh("home", csv_of(tmp_path / "bars.csv", *times[30:]))

    result = ingested(lineage, "2024-07-02")

    assert "is the zone right" in failure_of(result)
    assert stored_days(lineage, "bars") == []
    assert bytes_of(lineage.root) == {}


def test_bars_of_another_source_are_replaced_only_on_request(fresh: Fresh, tmp_path: Path) -> None:
    lineage = fresh("home")
    assert ingested(lineage, "2024-07-02", "2024-07-03").success
    before = bytes_of(lineage.root)
    other = Lineage(lineage.root, csv_of(tmp_path / "bars.csv", "2024-07-03 13:30"))

    refused = ingested(other, "2024-07-03")
    config = {"ops": {"ingest": {"config": {"replace_other_source": True}}}}
    allowed = other.run("market_day", "2024-07-03", config=config)

    assert "1 of these sessions, first 2024-07-03, are stored from another source (generator)" in (
        failure_of(refused)
    )
    assert before.items() - bytes_of(lineage.root).items() != set()
    assert materialized(allowed)["bars 2024-07-03"]["dagster/row_count"] == 1
    assert other.stored("bars", "2024-07-02")["source"].unique().to_list() == ["generator:7"]
    other.close()


def test_the_command_refuses_another_source_in_the_same_words(fresh: Fresh, tmp_path: Path) -> None:
    wiring = fresh("home").wiring
    day = date(2024, 7, 3)
    ingest(wiring.source, wiring.rules, wiring.market, day, day)
    other = parse_source(csv_of(tmp_path / "bars.csv", "2024-07-03 13:30"))

    with pytest.raises(SourceError, match=r"another source \(generator\). Nothing was written"):
        ingest(other, wiring.rules, wiring.market, day, day)
    report = ingest(other, wiring.rules, wiring.market, day, day, replace_other_source=True)

    assert report.changed_sessions == 1
    assert wiring.market.read("bars", "MES", day, day)["source"].to_list() == ["csv:bars.csv"]


def test_real_bars_are_not_stored_next_to_invented_ones(fresh: Fresh, tmp_path: Path) -> None:
    wiring = fresh("home").wiring
    day, next_day = date(2024, 7, 2), date(2024, 7, 3)
    ingest(wiring.source, wiring.rules, wiring.market, day, day)
    real = parse_source(csv_of(tmp_path / "bars.csv", "2024-07-03 13:30"))

    with pytest.raises(SourceError, match=r"bars of 2024-07-02, next to .* from generator: inve"):
        ingest(real, wiring.rules, wiring.market, next_day, next_day)
    none_stored = wiring.market.session_dates("bars", "MES")
    ingest(real, wiring.rules, wiring.market, next_day, next_day, replace_other_source=True)
    with pytest.raises(SourceError, match=r"bars of 2024-07-03, next to .* from csv: invented"):
        ingest(wiring.source, wiring.rules, wiring.market, date(2024, 7, 5), date(2024, 7, 5))

    assert list(none_stored) == [day]
    assert list(wiring.market.session_dates("bars", "MES")) == [day, next_day]
