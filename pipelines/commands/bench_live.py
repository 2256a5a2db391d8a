"""`credence bench --live`: what a session takes, by real sockets at a simulated gateway."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from contracts import load_rules
from contracts.calendar import sessions_between
from pipelines.commands.bench import Target, answer, ceiling, exit_of, row_of, run_process
from pipelines.commands.screen import Advance, Screen
from pipelines.measurements import BenchBars

FIRST_DATE: Final = date(2014, 1, 2)
LAST_DATE: Final = date(2014, 3, 31)
SESSIONS: Final = 46
"""Twenty for the memory of a process, behind as many as a context reads and some more."""

RUN_SECONDS_MAX: Final = 3_600

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveScale:
    """How often everything is measured; bars, orders and memory are counted in sessions."""

    equal_work: int
    bars: int
    orders: int
    kills: int
    kill_command: int
    crashes: int
    memory: int


FULL: Final = LiveScale(
    equal_work=1_000, bars=13, orders=3, kills=100, kill_command=5, crashes=5, memory=20
)
"""Of 390 bars each: a little over 5,000 bars."""

QUICK: Final = LiveScale(
    equal_work=200, bars=1, orders=1, kills=5, kill_command=1, crashes=1, memory=3
)

_TARGETS: Final[Mapping[str, Mapping[str, Target]]] = {
    "equal_work": {
        "piece_ms_p50": ceiling("equal_work_ms_p50", "equal pieces of work, median", "ms"),
        "piece_ms_p99": ceiling("equal_work_ms_p99", "  p99: how uneven the machine is", "ms"),
        "piece_ms_max": ceiling("equal_work_ms_max", "  at most", "ms"),
    },
    "bars": {
        "durable_ms_p50": ceiling("live_durable_ms_p50", "bar to durable decision, median", "ms"),
        "durable_ms_p99": ceiling("live_durable_ms_p99", "  p99", "ms", 20),
        "durable_ms_max": ceiling("live_durable_ms_max", "  at most", "ms"),
        "decision_ms_p50": ceiling(
            "live_heard_ms_p50", "  of it once the desk has heard it, median", "ms"
        ),
        "decision_ms_p99": ceiling("live_heard_ms_p99", "  p99", "ms"),
        "bars": ceiling("live_bars", "  bars", "count"),
        "order_ms_p50": ceiling("live_order_ms_p50", "bar to entry at the gateway, median", "ms"),
        "order_ms_p99": ceiling("live_order_ms_p99", "  p99", "ms", 40),
        "orders": ceiling("live_orders", "  entries", "count"),
        "session_seconds": ceiling("live_session_seconds", "a session of 390 bars", "s", 60),
        "cpu_ms_per_bar": ceiling("live_cpu_ms_per_bar", "  processor time of a bar", "ms"),
    },
    "orders": {
        "echo_ms_p50": ceiling("live_echo_ms_p50", "bar to order without a desk, median", "ms"),
        "echo_ms_p99": ceiling("live_echo_ms_p99", "  p99", "ms"),
        "send_ms_p99": ceiling("live_send_ms_p99", "  from its sending alone, p99", "ms"),
    },
    "kills": {
        "kill_ms_p50": ceiling("kill_ms_p50", "kill to the broker's word of flat, median", "ms"),
        "kill_ms_p99": ceiling("kill_ms_p99", "  p99", "ms", 2_000),
        "kill_ms_max": ceiling("kill_ms_max", "  at most", "ms"),
        "kills": ceiling("kills", "  kills", "count"),
    },
    "kill_command": {
        "seconds": ceiling("kill_command_seconds", "the whole credence kill, median", "s"),
    },
    "crashes": {
        "seconds_max": ceiling("recovery_seconds", "relaunch after SIGKILL, at most", "s", 15),
    },
    "memory": {
        "strays_percent": ceiling("memory_strays_percent", "memory strays by at most", "%", 5),
        "first_mb": ceiling("memory_first_mb", "  from, after two sessions", "MB"),
    },
}
TARGETS: Final = tuple(target for of in _TARGETS.values() for target in of.values())


def run_live_bench(scale: LiveScale, *, checks: bool, as_json: bool) -> int:
    """Measure everything and print it; `NO` only when asked to check and a target is missed."""
    screen = Screen.of_process()
    with (
        TemporaryDirectory(prefix="credence-bench-") as scratch,
        screen.progress("measuring", 1 + len(_TARGETS)) as advance,
    ):
        folder = Path(scratch)
        stored_market(folder, advance)
        told = {name: _worker(name, folder, getattr(scale, name), advance) for name in _TARGETS}
    rows = rows_of(told)
    answer(screen, rows, is_full=scale == FULL, as_json=as_json)
    if not as_json:
        loads = [numbers["load"] for numbers in told.values()]
        screen.say(f"while the load of the machine was {min(loads):.1f} to {max(loads):.1f}")
    return exit_of(rows, checks=checks)


def stored_market(folder: Path, advance: Advance) -> None:
    """Put the sessions that are played, and those before them, into a folder."""
    rules = load_rules()
    sessions = sessions_between(FIRST_DATE, LAST_DATE, rules.session)[:SESSIONS]
    BenchBars.generated(sessions, rules).store(folder)
    advance("bars generated")


def rows_of(told: Mapping[str, Numbers]) -> list[Mapping[str, Any]]:
    """The rows of the table from what each measurement told, each with the load of its minute."""
    return [
        {
            **row_of(target, [float(told[name][key])] if key in told[name] else []),
            "load": told[name]["load"],
        }
        for name, targets in _TARGETS.items()
        for key, target in targets.items()
    ]


def _worker(name: str, folder: Path, count: int, advance: Advance) -> Numbers:
    command = [sys.executable, "-m", "pipelines.live_measurements", name, str(folder), str(count)]
    done = run_process(command, os.environ, RUN_SECONDS_MAX)
    advance(name.replace("_", " "))
    numbers: Numbers = json.loads(done.stdout)
    return numbers
