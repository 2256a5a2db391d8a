"""`credence bench`: the numbers are taken as the table says, on a market of two sessions."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from command_line import credence

from contracts import load_rules
from contracts.calendar import sessions_between
from pipelines.commands import bench
from pipelines.commands.exits import Exit
from pipelines.dagster_measurements import measure_job, measure_night
from pipelines.measurements import MEASUREMENTS, ONE_CORE, BenchBars

TINY = bench.Scale(sessions=2, long_sessions=4, runs=1, short_runs=1, dagster_runs=0)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bars of three sessions."""
    rules = load_rules()
    sessions = sessions_between(date(2024, 1, 2), date(2024, 1, 4), rules.session)
    folder = tmp_path_factory.mktemp("bench")
    BenchBars.generated(sessions, rules).store(folder)
    return folder


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_every_measurement_measures_something(name: str, market: Path) -> None:
    numbers = MEASUREMENTS[name](market)

    speeds = {key: value for key, value in numbers.items() if key != "digest"}
    assert all(float(value) > 0 for value in speeds.values())
    assert numbers


def test_the_digest_of_the_same_bars_is_the_same(market: Path) -> None:
    assert MEASUREMENTS["digest"](market) == MEASUREMENTS["digest"](market)


def test_measurements_of_one_core_exist() -> None:
    assert set(MEASUREMENTS) > ONE_CORE


def test_the_first_sessions_of_a_market_are_its_own(market: Path) -> None:
    two = BenchBars.stored(market).first(2)

    assert two.contexts["session_date"].to_list() == [date(2024, 1, 2), date(2024, 1, 3)]
    assert two.bars.height == 780


@pytest.mark.parametrize(
    ("is_floor", "value", "is_met"),
    [(True, 10.0, True), (True, 9.9, False), (False, 10.0, True), (False, 10.1, False)],
)
def test_a_target_is_met_from_its_own_side(is_floor: bool, value: float, is_met: bool) -> None:
    target = bench.Target(key="x", words="x", unit="s", target=10.0, is_floor=is_floor)

    assert target.is_met(value) is is_met


@pytest.mark.slow
def test_the_whole_bench_runs_and_its_keys_stay(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = bench.run_bench(TINY, checks=True, as_json=False)

    shown = capsys.readouterr().out
    assert code == Exit.NO  # So few bars are never fast.
    assert all(target.words.strip() in shown for target in bench.TARGETS)
    assert [target.key for target in bench.TARGETS] == [
        "market_frame_bars_per_second",
        "replay_full_bars_per_second",
        "replay_trades_bars_per_second",
        "replay_trades_long_ratio",
        "replay_trades_long_peak_rss_mb",
        "live_step_ms_p50",
        "live_step_ms_p99",
        "live_columns_ms_p50",
        "live_decision_ms_p50",
        "live_commit_ms_p50",
        "equal_work_ms_p50",
        "equal_work_ms_p99",
        "digests_equal",
        "import_engine_seconds",
        "status_seconds",
        "up_seconds",
        "dagster_job_seconds",
        "dagster_empty_seconds",
        "dagster_steps",
        "night_seconds",
        "night_processor_seconds",
        "night_compute_seconds",
    ]


@pytest.mark.campaign
@pytest.mark.slow
def test_a_job_takes_longer_with_our_work_in_it_than_without(market: Path) -> None:
    numbers = measure_job(market)

    assert float(numbers["steps"]) >= 20
    assert float(numbers["seconds"]) > float(numbers["empty_seconds"]) > 0


@pytest.mark.campaign
def test_a_night_takes_longer_through_dagster_than_its_arithmetic(market: Path) -> None:
    numbers = measure_night(market)

    assert float(numbers["processor_seconds"]) > float(numbers["compute_seconds"]) > 0
    assert float(numbers["seconds"]) > 0


def test_a_bench_that_only_reports_never_fails() -> None:
    rows: list[dict[str, Any]] = [{"key": "x", "passed": False}, {"key": "y", "passed": True}]

    assert bench.exit_of(rows, checks=False) == Exit.DONE
    assert bench.exit_of(rows, checks=True) == Exit.NO
    assert bench.exit_of(rows[1:], checks=True) == Exit.DONE


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    ended = credence(tmp_path, "bench", "--fast")

    assert ended.code == Exit.USAGE
    assert "No such option: --fast" in ended.err
