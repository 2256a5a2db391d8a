"""One race: every engine on the same bars, turn by turn, each run in a process on one core."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from sys import executable
from typing import Any, Final

from engine.errors import CredenceError
from pipelines.commands.bench import run_process

RUN_SECONDS_MAX: Final = 1_800
ONE_THREAD: Final = {"POLARS_MAX_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process measured. `run_seconds` leaves out set-up and warm-up."""

    version: str
    setup_seconds: float
    warm_up_seconds: float
    run_seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    trades: tuple[Mapping[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class Entrant:
    """One line of the race: a command that ends with the file of its answer, and its runs.

    `problem` says why it does not take part, or what ended it; then it is not asked again.
    """

    key: str
    title: str
    simulates: str
    command: tuple[str, ...] = ()
    runs: list[Run] = field(default_factory=list)
    problem: str | None = None

    def median_of(self, name: str) -> float | None:
        """The median of one number over the runs; null without a run."""
        values = [float(getattr(run, name)) for run in self.runs]
        return median(values) if values else None


def own_command(name: str, folder: Path) -> tuple[str, ...]:
    """A run of ours."""
    return (executable, "-m", "pipelines.stopwatch.own_run", name, str(folder))


def run_once(entrant: Entrant, answer: Path) -> None:
    """Run it once more and keep what it measured, or what went wrong."""
    if entrant.problem is not None:
        return
    answer.unlink(missing_ok=True)  # Nobody's number may pass for another's.
    try:
        with one_core():
            run_process([*entrant.command, str(answer)], os.environ | ONE_THREAD, RUN_SECONDS_MAX)
        entrant.runs.append(read_run(answer))
    except subprocess.TimeoutExpired:
        entrant.problem = f"not done in {RUN_SECONDS_MAX} seconds"
    except CredenceError as error:
        entrant.problem = str(error)
    except (OSError, ValueError, TypeError, KeyError) as error:
        entrant.problem = f"its answer could not be read ({type(error).__name__}: {error})"


def read_run(answer: Path) -> Run:
    """What a process wrote as its answer."""
    told = json.loads(answer.read_bytes())
    return Run(**{**told, "trades": tuple(told["trades"])})


@contextmanager
def one_core() -> Iterator[None]:
    """Processes started meanwhile run on one core, the last of those we may use."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(usual)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def bars_per_second(entrant: Entrant, bars: int, clock: str = "run_seconds") -> float | None:
    """Bars a second of the median run, by the clock or with `cpu_seconds` of the processor."""
    seconds = entrant.median_of(clock)
    return None if not seconds else bars / seconds


def ratio(one: float | None, other: float | None) -> float | None:
    """How many times faster; null when either was not measured."""
    return None if one is None or other is None else one / other


def by_key(entrants: Sequence[Entrant]) -> Mapping[str, Entrant]:
    """The entrants by their keys."""
    return {entrant.key: entrant for entrant in entrants}
