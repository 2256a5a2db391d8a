"""Session after session in one gateway process and one desk process: does anything grow?"""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final, NamedTuple

import polars as pl
import psutil

from contracts import load_rules
from contracts.calendar import session_on, sessions_between
from engine.errors import CredenceError
from pipelines.campaign.processes_truth import market_now
from pipelines.gateway.player import LEAD
from pipelines.gateway.run import RunningGateway
from pipelines.live_stage import PATIENCE_SECONDS, LiveStage
from pipelines.measurements import BenchBars
from pipelines.session.plan import Ending
from pipelines.timed_gateway import GatewayProcess, Readings, TimedGateway

FIRST_DATE: Final = date(2014, 1, 2)
KNOWN_SESSIONS: Final = 25
"""Stored before the first: a desk that reads more of them each day needs more memory each day."""

SETTLED_AFTER: Final = 2
"""Sessions after which both processes have loaded everything they ever will."""

MEMORY_PERCENT_MAX: Final = 5.0
CPU_PERCENT_MAX: Final = 25.0
_LOOK_SECONDS: Final = 0.05


class SoakReading(NamedTuple):
    """What both processes held when a session was over, and what its bars took.

    `handles` are open files and sockets, `objects` what Python's collector follows. Decisions are
    in wall time, which a shared machine stretches; `cpu_ms_per_bar` is the desk's processor time.
    """

    session_date: date
    bars: int
    megabytes: float
    gateway_megabytes: float
    handles: int
    gateway_handles: int
    threads: int
    objects: int
    decision_ms_p50: float
    cpu_ms_per_bar: float


class SoakFinding(NamedTuple):
    """One quantity over the sessions: after the second, after the last, and how far it strayed.

    `first` and `last` of what is timed are medians of the first and last few sessions.
    """

    what: str
    first: float
    last: float
    strays: float
    bound: float | None

    @property
    def is_flat(self) -> bool:
        return self.bound is None or self.strays <= self.bound


def run_soak(sessions: int, told: Callable[[SoakReading], None]) -> Sequence[SoakReading]:
    """Play so many generated sessions; `told` hears of each, some 20 s apart."""
    rules = load_rules()
    wanted = KNOWN_SESSIONS + sessions
    last = FIRST_DATE + timedelta(days=2 * wanted)
    days = sessions_between(FIRST_DATE, last, rules.session)[:wanted]
    stage = LiveStage(BenchBars.generated(days, rules), rules)
    return list(soak(stage, [day.session_date for day in days[KNOWN_SESSIONS:]], told))


def soak(
    stage: LiveStage, dates: Sequence[date], told: Callable[[SoakReading], None]
) -> Iterator[SoakReading]:
    """A reading after each session, all of them at one gateway and on one home."""
    with (
        TemporaryDirectory(prefix="credence-soak-") as home,
        closing(GatewayProcess(stage.market.bars)) as gateways,
        gateways.playing(*dates) as gateway,
    ):
        store = stage.history(Path(home), dates[0])
        far = psutil.Process(gateways.pid)
        for day in dates:
            _await_market(gateway, stage, day)
            cpu_started = process_time()
            result = stage.run(store, Path(home), day, gateway.port).run()
            if result.ending is not Ending.CLOSED:
                raise CredenceError(f"expected {day} to be played to its end, got {result.ending}")
            cpu_ms = 1_000 * (process_time() - cpu_started) / result.bars.height
            if not gateway.ask(_was_left):
                raise CredenceError(
                    f"expected no connection once the session of {day} was over, one was open "
                    f"{PATIENCE_SECONDS:.0f} s later; find out what keeps it, and soak again"
                )
            reading = _reading(day, result.bars.height, result.decision_ms, cpu_ms, far)
            del result
            told(reading)
            yield reading
            rows = stage.market.bars.filter(pl.col("session_date") == day)
            store.write("bars", rows, symbol=stage.rules.instrument.symbol, session_date=day)


def _await_market(gateway: TimedGateway, stage: LiveStage, day: date) -> None:
    """The gateway goes on to its next session by itself, a moment after the last one."""
    opens_at = session_on(day, stage.rules.session).opens_at
    deadline = time.monotonic() + PATIENCE_SECONDS
    while gateway.ask(market_now) < opens_at - LEAD:
        if time.monotonic() > deadline:
            raise CredenceError(f"expected the gateway to go on to {day}, it did not")
        time.sleep(_LOOK_SECONDS)


def _was_left(gateway: RunningGateway, _readings: Readings) -> bool:
    """Once no client is connected: a socket on its way out would count as an open file."""
    return gateway.wait_until_empty(PATIENCE_SECONDS)


def _reading(
    day: date, bars: int, decision_ms: Sequence[float], cpu_ms: float, far: psutil.Process
) -> SoakReading:
    near = psutil.Process(os.getpid())
    return SoakReading(
        session_date=day,
        bars=bars,
        megabytes=near.memory_info().rss / 2**20,
        gateway_megabytes=far.memory_info().rss / 2**20,
        handles=near.num_fds(),
        gateway_handles=far.num_fds(),
        threads=threading.active_count(),
        objects=len(gc.get_objects()),
        decision_ms_p50=median(decision_ms),
        cpu_ms_per_bar=cpu_ms,
    )


_BOUNDS: Final[Mapping[str, float | None]] = {
    "megabytes": MEMORY_PERCENT_MAX,
    "gateway_megabytes": MEMORY_PERCENT_MAX,
    "handles": 0.0,
    "gateway_handles": 0.0,
    "threads": 0.0,
    "objects": MEMORY_PERCENT_MAX,
    "decision_ms_p50": None,
    "cpu_ms_per_bar": CPU_PERCENT_MAX,
}
"""By how many percent each may stray; null where a shared machine decides it."""


TIMED: Final = frozenset({"decision_ms_p50", "cpu_ms_per_bar"})
"""Of one session they say as much of the machine as of the desk: equal work strays by 20 %."""

TIMED_TOGETHER: Final = 9
"""Sessions whose median is one value of what is timed: growth stays, a session beside others' work
goes."""


def findings(readings: Sequence[SoakReading]) -> Sequence[SoakFinding]:
    """How far each quantity strayed, in percent of what it was when all was loaded.

    What is timed counts by the medians of neighbouring sessions.
    """
    settled = readings[SETTLED_AFTER - 1 :] or readings[-1:]
    found = []
    for what, bound in _BOUNDS.items():
        values = [float(getattr(each, what)) for each in settled]
        if what in TIMED:
            values = _medians(values, max(1, min(TIMED_TOGETHER, len(values) // 2)))
        strays = max(100 * abs(value / values[0] - 1) for value in values)
        found.append(SoakFinding(what, values[0], values[-1], strays, bound))
    return found


def _medians(values: Sequence[float], together: int) -> list[float]:
    """The median of each run of so many values."""
    return [median(values[end - together : end]) for end in range(together, len(values) + 1)]
