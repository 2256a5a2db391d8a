"""The jobs as a person runs them: what is written, what is told, and what a failed check stops."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from lineage import LAST_DAY, Lineage, bytes_of, evaluations, materialized

from contracts.calendar import session_on
from engine.generator import FaultKind, plant_faults
from engine.journal import Kind

Fresh = Callable[..., Lineage]
HALF_DAY = "2024-07-03"
MARKET = ("session_context", "quality", "signals", "beliefs", "candidates", "outcomes")


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {name.partition(" ")[0] for name in materialized(result)}


def test_a_backfill_in_one_run_writes_the_bytes_of_one_run_per_session(fresh: Fresh) -> None:
    at_once, one_by_one = fresh("at_once"), fresh("one_by_one")
    days = ["2024-07-03", "2024-07-05"]

    assert at_once.run("market_day", days[0], days[-1]).success
    for day in days:
        assert one_by_one.run("market_day", day).success

    assert bytes_of(at_once.root) == bytes_of(one_by_one.root)
    assert len(bytes_of(at_once.root)) == 8 * len(days)


@dataclass(frozen=True)
class Again:
    """Two days that are computed, and one that is rehearsed, for the second time."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    market: dg.ExecuteInProcessResult
    desk: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def again(pristine: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Again]:
    with closing(pristine.copied_to(tmp_path_factory.mktemp("again") / "home")) as lineage:
        before = bytes_of(lineage.root)
        market = lineage.run("market_day", "2024-07-09", LAST_DAY)
        desk = lineage.run("rehearse_session", LAST_DAY)
        yield Again(before, bytes_of(lineage.root), market, desk)


def test_running_again_changes_nothing(again: Again) -> None:
    market, desk = materialized(again.market), materialized(again.desk)

    assert again.after == again.before
    changed = [
        told["partitions_changed"] for told in market.values() if "partitions_changed" in told
    ]
    assert changed == [0] * 7 * 2
    assert desk[f"decisions {LAST_DAY}"]["partitions_changed"] == 0
    assert desk[f"executions {LAST_DAY}"]["partitions_changed"] == 0


def test_each_session_of_a_run_states_its_own_numbers(pristine: Lineage) -> None:
    result = pristine.run("market_day", "2024-07-02", "2024-07-03")

    told = materialized(result)

    assert told["bars 2024-07-02"]["dagster/row_count"] == 390
    assert told["bars 2024-07-03"]["dagster/row_count"] == 210
    assert told["bars 2024-07-03"]["source"] == "generator:7"
    assert told["quality 2024-07-03"]["dagster/row_count"] == 210
    assert told["quality 2024-07-03"]["dvs_mean"] == 1.0
    assert told["candidates 2024-07-03"]["dagster/row_count"] == 4 * 210
    closes = [
        pristine.stored("bars", day)["close_ticks"][-1] for day in ("2024-07-01", "2024-07-02")
    ]
    assert [
        told[f"session_context {day}"]["prior_close_ticks"] for day in ("2024-07-02", "2024-07-03")
    ] == closes


def test_a_rehearsal_tells_its_story_pictures_first(again: Again) -> None:
    told = materialized(again.desk)

    session = told[f"trading_session {LAST_DAY}"]
    assert list(session)[:2] == ["session", "why_not"]
    assert session["session"].startswith("![price, fills and beliefs](data:image/png;base64,")
    assert session["net_usd"] == round(session["net_usd"], 2) != 0
    assert session["fills"] == told[f"executions {LAST_DAY}"]["dagster/row_count"] > 0
    assert sum(each["bars"] for each in session["reasons"]) + session["entries"] == 390
    assert told[f"decisions {LAST_DAY}"]["dagster/row_count"] == 390
    assert told[f"decisions {LAST_DAY}"]["entered"] == session["entries"] > 0


def test_doubtful_data_stops_everything_that_would_build_on_it(
    fresh: Fresh, pristine: Lineage, tmp_path: Path
) -> None:
    faulted = plant_faults(
        pristine.stored("bars", "2024-07-09"),
        seed=3,
        instrument=pristine.wiring.rules.instrument,
        kinds=(FaultKind.STUCK_FEED,),
        per_kind=16,
    )
    faulted.raw.write_parquet(tmp_path / "faulted.parquet")
    lineage = fresh("doubtful", f"parquet:{tmp_path / 'faulted.parquet'}")

    result = lineage.run("market_day", "2024-07-09")

    assert not result.success
    verdict = {each.check_name: each for each in result.get_asset_check_evaluations()}["dvs"]
    assert not verdict.passed
    assert verdict.metadata["worst_session"].value.startswith("![price and DVS](data:image/png")
    assert [row.data["event"] for row in verdict.metadata["events"].records] == ["stuck_feed"]
    assert made(result) == {"bars", "rejected_bars", "session_context", "quality"}


def test_half_a_session_stops_everything_that_would_build_on_it(
    fresh: Fresh, pristine: Lineage, tmp_path: Path
) -> None:
    bars = pristine.stored("bars", "2024-07-09").filter(pl.col("minute") >= 40)
    raw = plant_faults(bars, seed=1, instrument=pristine.wiring.rules.instrument, kinds=()).raw
    raw.write_parquet(tmp_path / "half.parquet")
    lineage = fresh("half", f"parquet:{tmp_path / 'half.parquet'}")

    result = lineage.run("market_day", "2024-07-09")

    verdict = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert verdict["bars_complete"].description == (
        "0 of 1 sessions are complete; incomplete: 2024-07-09 (89.7%)"
    )
    assert made(result) == {"bars", "rejected_bars"}


def test_a_broken_session_is_not_published(damaged: Lineage) -> None:
    published = damaged.wiring.home.published.stat().st_ino
    damaged.damage("bars", LAST_DAY, lambda rows: rows.with_columns(volume=pl.col("volume") + 1))

    result = damaged.materialize("decisions", "executions", "published_warehouse", first=LAST_DAY)

    assert not result.success
    assert evaluations(result)["live_equals_batch"] is False
    assert "published_warehouse" not in made(result)
    assert damaged.wiring.home.published.stat().st_ino == published


READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.execute("select count(*) from decisions").fetchone()[0], flush=True)
sys.stdin.readline()
print(connection.execute("select count(*) from decisions").fetchone()[0], flush=True)
"""


@dataclass(frozen=True)
class Read:
    """A half day rehearsed by an account of one's own while another process read the copy."""

    home: Lineage
    result: dg.ExecuteInProcessResult
    seen: tuple[str, str]


@pytest.fixture(scope="module")
def read(pristine: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    home = tmp_path_factory.mktemp("read") / "home"
    config = {"ops": {"play_session": {"config": {"equity_usd": 2_500.0}}}}
    with (
        closing(pristine.copied_to(home)) as lineage,
        subprocess.Popen(
            [sys.executable, "-c", READER, str(lineage.wiring.home.published)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as reader,
    ):
        assert reader.stdin is not None
        assert reader.stdout is not None
        first_seen = reader.stdout.readline()
        result = lineage.run("rehearse_session", HALF_DAY, config=config)
        answer, _ = reader.communicate("go on\n", timeout=30)
        yield Read(lineage, result, (first_seen.strip(), answer.strip()))


def test_a_reader_that_holds_the_published_copy_never_blocks_the_next_write(read: Read) -> None:
    fresh_copy = subprocess.run(
        [sys.executable, "-c", READER, str(read.home.wiring.home.published)],
        input="\n",
        capture_output=True,
        text=True,
        check=True,
    )

    assert read.result.success
    assert read.seen == ("390", "390")
    assert fresh_copy.stdout.split() == ["600", "600"]


def test_the_account_of_a_rehearsal_is_part_of_its_configuration(read: Read) -> None:
    (account, *_) = read.home.wiring.session_journals.events(
        date.fromisoformat(HALF_DAY), Kind.ACCOUNT
    )

    assert '"equity_usd":"2500.0' in account.payload


def test_real_bars_go_through_every_stage(fresh: Fresh, real_bars_dir: Path) -> None:
    lineage = fresh("real", f"lean:{real_bars_dir}")

    market = lineage.run("market_day", "2013-10-10", "2013-10-14")
    session = lineage.run("rehearse_session", "2013-10-14")

    assert market.success
    assert made(market) == {"bars", "rejected_bars", *MARKET}
    told = materialized(market)
    assert [told[f"bars 2013-10-{day:02}"]["dagster/row_count"] for day in (10, 11, 14)] == [
        390
    ] * 3
    assert all(each.passed for each in market.get_asset_check_evaluations())
    assert session.success
    assert evaluations(session)["ledger_equals_cash"]
    assert session_on(date(2013, 10, 14), lineage.wiring.rules.session).minutes == 390
