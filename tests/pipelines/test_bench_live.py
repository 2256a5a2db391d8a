"""`credence bench --live`: the numbers are taken as the table says, on one short session."""

from datetime import date
from pathlib import Path

import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from pipelines.commands import bench_live
from pipelines.commands.bench import exit_of
from pipelines.commands.exits import Exit
from pipelines.live_measurements import MEASUREMENTS
from pipelines.live_stage import LiveStage, spread
from pipelines.measurements import BenchBars

FIRST, SHORT = date(2024, 11, 21), date(2024, 11, 29)
SHORT_MINUTES = 210


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market that ends with the short session after Thanksgiving, the one that is played."""
    rules = load_rules()
    into = tmp_path_factory.mktemp("live")
    BenchBars.generated(sessions_between(FIRST, SHORT, rules.session), rules).store(into)
    return into


def test_the_sessions_before_the_short_one_are_its_history(folder: Path) -> None:
    stage = LiveStage.stored(folder)

    assert stage.dates == [SHORT]
    assert stage.first_to_enter() == SHORT


@pytest.mark.slow
def test_bars_are_timed_from_the_gateway_to_the_disk(folder: Path) -> None:
    numbers = MEASUREMENTS["bars"](folder, 1)

    assert numbers["bars"] == SHORT_MINUTES
    assert 0 < numbers["durable_ms_p50"] <= numbers["durable_ms_p99"] <= numbers["durable_ms_max"]
    assert 0 < numbers["cpu_ms_per_bar"] < 1_000 * numbers["session_seconds"] / SHORT_MINUTES * 2
    assert numbers["orders"] > 0
    assert numbers["order_ms_p50"] > 0


@pytest.mark.slow
def test_a_kill_is_timed_with_a_position_open(folder: Path) -> None:
    numbers = MEASUREMENTS["kills"](folder, 1)

    assert numbers["kills"] == 1
    assert 0 < numbers["kill_ms_p50"] == numbers["kill_ms_max"]


def test_every_measurement_has_its_scale_and_its_rows() -> None:
    told = {name: {"load": 1.5, "durable_ms_p99": 19.0} for name in MEASUREMENTS}

    rows = {row["key"]: row for row in bench_live.rows_of(told)}

    assert set(MEASUREMENTS) == set(bench_live.LiveScale.__dataclass_fields__)
    assert list(rows) == [
        "equal_work_ms_p50",
        "equal_work_ms_p99",
        "equal_work_ms_max",
        "live_durable_ms_p50",
        "live_durable_ms_p99",
        "live_durable_ms_max",
        "live_heard_ms_p50",
        "live_heard_ms_p99",
        "live_bars",
        "live_order_ms_p50",
        "live_order_ms_p99",
        "live_orders",
        "live_session_seconds",
        "live_cpu_ms_per_bar",
        "live_echo_ms_p50",
        "live_echo_ms_p99",
        "live_send_ms_p99",
        "kill_ms_p50",
        "kill_ms_p99",
        "kill_ms_max",
        "kills",
        "kill_command_seconds",
        "recovery_seconds",
        "memory_strays_percent",
        "memory_first_mb",
    ]
    durable = rows["live_durable_ms_p99"]
    assert (durable["value"], durable["target"], durable["passed"]) == (19.0, 20, True)
    assert durable["load"] == 1.5


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    told = {name: {"load": 1.5} for name in MEASUREMENTS}

    rows = bench_live.rows_of(told)

    assert {row["value"] for row in rows} == {None}
    assert {row["passed"] for row in rows} == {None}
    assert exit_of(rows, checks=True) == Exit.DONE


def test_a_percentile_of_few_is_the_largest() -> None:
    few, many = spread([3.0, 1.0, 2.0], "ms"), spread([float(n) for n in range(1, 201)], "ms")

    assert few == {"ms_p50": 2.0, "ms_p99": 3.0, "ms_max": 3.0}
    assert many == {"ms_p50": 100.5, "ms_p99": 198.0, "ms_max": 200.0}
