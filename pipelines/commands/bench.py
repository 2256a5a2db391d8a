"""`credence bench`: what the README states, measured here, each run in a process of its own."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.errors import CredenceError
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Advance, Screen
from pipelines.measurements import ONE_CORE, BenchBars, Numbers
from pipelines.storage import Home, ParquetStore

FIRST_DATE: Final = date(2014, 1, 2)
LAST_DATE: Final = date(2025, 12, 31)
RUN_SECONDS_MAX: Final = 600
STATUS_SESSIONS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured: sessions of the year-long and the long market, and runs of each.

    `dagster_runs` are those of starting Dagster and of a job, which take many seconds.
    """

    sessions: int
    long_sessions: int
    runs: int
    short_runs: int
    dagster_runs: int


FULL: Final = Scale(sessions=643, long_sessions=2_572, runs=3, short_runs=7, dagster_runs=3)
"""A little over 250,000 and 1,000,000 bars; early closes are shorter."""

QUICK: Final = Scale(sessions=64, long_sessions=256, runs=1, short_runs=5, dagster_runs=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One number of the table, what it should be, and how it is read; null is told for itself."""

    key: str
    words: str
    unit: str
    target: float | None
    is_floor: bool

    def is_met(self, value: float) -> bool | None:
        """Whether a value is good enough; null when nothing is asked of it."""
        if self.target is None:
            return None
        return value >= self.target if self.is_floor else value <= self.target


def floor(key: str, words: str, unit: str, target: float | None) -> Target:
    """A number that should be at least so much."""
    return Target(key=key, words=words, unit=unit, target=target, is_floor=True)


def ceiling(key: str, words: str, unit: str, target: float | None = None) -> Target:
    """A number that should be at most so much."""
    return Target(key=key, words=words, unit=unit, target=target, is_floor=False)


TARGETS: Final = (
    floor("market_frame_bars_per_second", "market columns", "bars/s", 250_000),
    floor("replay_full_bars_per_second", "replay, every bar journalled, 1 core", "bars/s", 40_000),
    floor("replay_trades_bars_per_second", "replay, trades only", "bars/s", 250_000),
    floor("replay_trades_long_ratio", "  its speed over four times the bars", "×", 0.85),
    ceiling("replay_trades_long_peak_rss_mb", "  its memory then, at most", "MB", 1_024),
    ceiling("live_step_ms_p50", "live bar to durable decision, median", "ms", 10),
    ceiling("live_step_ms_p99", "live bar to durable decision, p99", "ms", 15),
    ceiling("live_columns_ms_p50", "  of it columns and text", "ms"),
    ceiling("live_decision_ms_p50", "  of it the decision", "ms"),
    ceiling("live_commit_ms_p50", "  of it the durable commit", "ms"),
    ceiling("equal_work_ms_p50", "equal pieces of work, median", "ms"),
    ceiling("equal_work_ms_p99", "  p99: how uneven the machine is", "ms"),
    floor("digests_equal", "digest equal in two processes", "1 = yes", 1),
    ceiling("import_engine_seconds", "import of the engine", "s", 0.7),
    ceiling("status_seconds", "credence status", "s", 1.5),
    ceiling("up_seconds", "credence up until the UI answers", "s"),
    ceiling("dagster_job_seconds", "a session through market_day, in process", "s"),
    ceiling("dagster_empty_seconds", "  as many steps without work", "s"),
    ceiling("dagster_steps", "  steps", "count"),
    ceiling("night_seconds", "a night of one session, in process", "s", 15),
    ceiling("night_processor_seconds", "  its processor time", "s"),
    ceiling("night_compute_seconds", "  of that its own arithmetic", "s", 2),
)


def run_bench(scale: Scale, *, checks: bool, as_json: bool) -> int:
    """Measure everything and print it; `NO` only when asked to check and a target is missed."""
    screen = Screen.of_process()
    with (
        TemporaryDirectory(prefix="credence-bench-") as scratch,
        screen.progress("measuring", _steps(scale)) as advance,
    ):
        runs = _measure(Path(scratch), scale, advance)
    rows = [row_of(target, runs[target.key]) for target in TARGETS]
    answer(screen, rows, is_full=scale == FULL, as_json=as_json)
    return exit_of(rows, checks=checks)


def answer(
    screen: Screen, rows: Sequence[Mapping[str, Any]], *, is_full: bool, as_json: bool
) -> None:
    """The machine and the rows, as one object or as a table."""
    if as_json:
        screen.json({"machine": machine(), "is_full": is_full, "measurements": rows})
    else:
        _show(screen, rows, is_full=is_full)


def exit_of(rows: Sequence[Mapping[str, Any]], *, checks: bool) -> Exit:
    """A missed target is a no only when it was asked for."""
    return Exit.NO if checks and any(row["passed"] is False for row in rows) else Exit.DONE


def _steps(scale: Scale) -> int:
    return 1 + 6 * scale.runs + 2 + 2 * scale.short_runs + 3 * scale.dagster_runs


def _measure(scratch: Path, scale: Scale, advance: Advance) -> Mapping[str, Sequence[float]]:
    """Every run of every number, by key."""
    market, long_market, home = scratch / "market", scratch / "long", scratch / "home"
    _prepare(market, long_market, home, scale)
    advance("bars generated")

    def runs_of(name: str, folder: Path, count: int) -> list[Numbers]:
        return [_worker(name, folder, advance) for _ in range(count)]

    frame = runs_of("market_frame", market, scale.runs)
    full = runs_of("replay_full", market, scale.runs)
    trades = runs_of("replay_trades", market, scale.runs)
    long_trades = runs_of("replay_trades", long_market, scale.runs)
    live = runs_of("live_step", market, scale.runs)
    equal = runs_of("equal_work", market, scale.runs)
    dagster = range(scale.dagster_runs)
    job, night, up = (
        [_worker(name, market, advance, of="pipelines.dagster_measurements") for _ in dagster]
        for name in ("job", "night", "up")
    )
    digests = {str(run["digest"]) for run in runs_of("digest", market, 2)}
    usual = median(_column(trades, "bars_per_second"))
    engine = "import engine.desk, engine.market, engine.narrative"
    status = ["-m", "pipelines.cli", "status"]
    return {
        "market_frame_bars_per_second": _column(frame, "bars_per_second"),
        "replay_full_bars_per_second": _column(full, "bars_per_second"),
        "replay_trades_bars_per_second": _column(trades, "bars_per_second"),
        "replay_trades_long_ratio": [
            speed / usual for speed in _column(long_trades, "bars_per_second")
        ],
        "replay_trades_long_peak_rss_mb": _column(long_trades, "peak_rss_mb"),
        "live_step_ms_p50": _column(live, "ms_p50"),
        "live_step_ms_p99": _column(live, "ms_p99"),
        "live_columns_ms_p50": _column(live, "columns_ms_p50"),
        "live_decision_ms_p50": _column(live, "decision_ms_p50"),
        "live_commit_ms_p50": _column(live, "commit_ms_p50"),
        "equal_work_ms_p50": _column(equal, "ms_p50"),
        "equal_work_ms_p99": _column(equal, "ms_p99"),
        "up_seconds": _column(up, "seconds"),
        "dagster_job_seconds": _column(job, "seconds"),
        "dagster_empty_seconds": _column(job, "empty_seconds"),
        "dagster_steps": _column(job, "steps"),
        "night_seconds": _column(night, "seconds"),
        "night_processor_seconds": _column(night, "processor_seconds"),
        "night_compute_seconds": _column(night, "compute_seconds"),
        "digests_equal": [float(len(digests) == 1)],
        "import_engine_seconds": _timed(["-c", engine], home, scale.short_runs, advance),
        "status_seconds": _timed(status, home, scale.short_runs, advance),
    }


def _column(runs: Sequence[Numbers], name: str) -> list[float]:
    return [float(run[name]) for run in runs]


def _prepare(market: Path, long_market: Path, home: Path, scale: Scale) -> None:
    """Generated bars for the workers, and a home with some sessions for `status`."""
    rules = load_rules()
    sessions = sessions_between(FIRST_DATE, LAST_DATE, rules.session)[: scale.long_sessions]
    bars = BenchBars.generated(sessions, rules)
    bars.store(long_market)
    few = bars.first(scale.sessions)
    few.store(market)
    store = ParquetStore(home=Home(root=home))
    for (day,), rows in (
        few.first(STATUS_SESSIONS).bars.partition_by("session_date", as_dict=True).items()
    ):
        store.write("bars", rows, symbol=rules.instrument.symbol, session_date=day)


def _worker(
    name: str, folder: Path, advance: Advance, *, of: str = "pipelines.measurements"
) -> Numbers:
    threads = {"POLARS_MAX_THREADS": "1"} if name in ONE_CORE else {}
    command = [sys.executable, "-m", of, name, str(folder)]
    done = run_process(command, os.environ | threads)
    advance(name.replace("_", " "))
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def _timed(arguments: list[str], home: Path, runs: int, advance: Advance) -> list[float]:
    """Wall-clock seconds of a fresh interpreter with these arguments."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CREDENCE_")
    } | {"CREDENCE_HOME": str(home)}
    seconds = []
    for _ in range(runs):
        started = perf_counter()
        run_process([sys.executable, *arguments], environment)
        seconds.append(perf_counter() - started)
        advance(arguments[-1])
    return seconds


def run_process(
    command: list[str], environment: Mapping[str, str], seconds_max: float = RUN_SECONDS_MAX
) -> subprocess.CompletedProcess[bytes]:
    """A command that has ended well; raises `CredenceError` with its last words otherwise."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and modules
        command, capture_output=True, env=environment, timeout=seconds_max, check=False
    )
    if done.returncode:
        last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
        raise CredenceError(
            f"expected {' '.join(command[1:])} to measure, it ended with code {done.returncode}: "
            f"{last}; run it by hand to see more"
        )
    return done


def row_of(target: Target, runs: Sequence[float]) -> Mapping[str, Any]:
    """One line of the table: the median of some runs, null of none, beside its target."""
    value = median(runs) if runs else None
    return {
        "key": target.key,
        "words": target.words,
        "value": value,
        "unit": target.unit,
        "target": target.target,
        "at_least": target.is_floor,
        "passed": None if value is None else target.is_met(value),
        "runs": list(runs),
    }


def machine() -> Mapping[str, Any]:
    """What this was measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_name(),
        "python": platform.python_version(),
        "polars": version("polars"),
        "system": platform.platform(terse=True),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _show(screen: Screen, rows: Sequence[Mapping[str, Any]], *, is_full: bool) -> None:
    here = machine()
    screen.say(
        f"{here['cores']} cores of {here['cpu']}, Python {here['python']}, "
        f"Polars {here['polars']}" + ("" if is_full else "; of few bars, which understates speed")
    )
    screen.table(
        "Measured, medians",
        ("what", "measured", "target", "unit", "met", "runs", "spread"),
        [_cells(row) for row in rows],
        numbers=("measured", "target", "runs"),
    )


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    value, target, runs = row["value"], row["target"], row["runs"]
    reference = value if target is None else target
    text: Callable[[float], str] = _whole if (reference or 0) >= 100 else _fine
    sign = "≥" if row["at_least"] else "≤"
    return (
        row["words"],
        None if value is None else text(value),
        None if target is None else f"{sign} {text(target)}",
        row["unit"],
        row["passed"],
        len(runs),
        f"{text(min(runs))} to {text(max(runs))}" if runs[1:] else "",
    )


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _fine(value: float) -> str:
    return f"{value:,.2f}"
