"""The processes of a sweep: one for each stretch of sessions, sets passing from one to the next."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import polars as pl

from engine.learning.parameter_sets import ParameterSet
from engine.learning.sweep.accounts import SetOrder
from engine.learning.sweep.market import Loosest
from engine.rules import Rules
from pipelines.replay import ReplaySettings
from pipelines.stored_bars import StoredBars
from pipelines.sweep_stretch import (
    Batch,
    Replayed,
    StretchOrder,
    Walked,
    batches,
    begin,
    replay_set,
    walk_all,
    write_stretch,
)

_THREADS: Final = "POLARS_MAX_THREADS"


@dataclass(slots=True)
class Crew:
    """One process for each stretch, in the order of time."""

    folder: Path
    rules: Rules
    pools: Sequence[ProcessPoolExecutor]
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    rss_mb: dict[int, float] = field(default_factory=dict)

    def walk(
        self, orders: Sequence[SetOrder], progress: Callable[[str], None]
    ) -> dict[int, list[Walked]]:
        """Every set's way by its number, stretch by stretch; it ends where one is refused."""
        ways: dict[int, list[Walked]] = {order.chosen.number: [] for order in orders}
        waiting: dict[Future[Batch], tuple[int, Sequence[SetOrder]]] = {}
        for batch in batches(orders):
            waiting[self.pools[0].submit(walk_all, batch)] = (0, batch)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                place, batch = waiting.pop(future)
                found = self._heard(place, future.result(), ways)
                going_on = _going_on(batch, found)
                if place + 1 < len(self.pools) and going_on:
                    later = self.pools[place + 1].submit(walk_all, going_on)
                    waiting[later] = (place + 1, going_on)
                ended = len(batch) if place + 1 == len(self.pools) else len(batch) - len(going_on)
                for _nth in range(ended):
                    progress(f"{found[-1].trades} trades")
        return ways

    def replays(
        self, chosen: Sequence[ParameterSet], settings: ReplaySettings
    ) -> Iterator[Replayed]:
        """These sets replayed bar by bar, shared out among the processes, in their order."""
        futures = [
            self.pools[nth % len(self.pools)].submit(
                replay_set, self.folder, self.rules, each, settings
            )
            for nth, each in enumerate(chosen)
        ]
        for future in futures:
            yield future.result()

    def _heard(self, place: int, batch: Batch, ways: dict[int, list[Walked]]) -> list[Walked]:
        self.cpu_seconds[place], self.rss_mb[place] = batch.cpu_seconds, batch.rss_mb
        for walked in batch.walked:
            ways[walked.number].append(walked)
        return batch.walked


@contextmanager
def crew_of(
    stored: StoredBars, rules: Rules, gates: Loosest, folder: Path, processes: int, seed: int
) -> Iterator[Crew]:
    """The processes, each with its stretch of the sessions; they end with the block."""
    write_stretch(folder, stored.bars, stored.contexts)
    with ExitStack() as stack, _one_thread_each():
        pools = []
        for order in _stretches(stored, rules, gates, folder, processes, seed):
            pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=begin, initargs=(order,)
            )
            pools.append(stack.enter_context(pool))
            pool.submit(walk_all, ())  # A process starts with its first work: all begin now.
        yield Crew(folder, rules, pools)


def _stretches(
    stored: StoredBars, rules: Rules, gates: Loosest, folder: Path, processes: int, seed: int
) -> Iterator[StretchOrder]:
    """The sessions in as many parts of one length as there are processes."""
    dates = stored.session_dates
    count = min(processes, len(dates))
    minutes_before = 0
    for nth in range(count):
        first, last = (len(dates) * edge // count for edge in (nth, nth + 1))
        inside = pl.col("session_date").is_between(dates[first], dates[last - 1])
        contexts = stored.contexts.filter(inside)
        part = folder / str(nth)
        write_stretch(part, stored.bars.filter(inside), contexts)
        yield StretchOrder(
            folder=part, rules=rules, gates=gates, minutes_before=minutes_before, seed=seed
        )
        minutes_before += int(contexts["session_minutes"].sum())


def _going_on(orders: Sequence[SetOrder], walked: Sequence[Walked]) -> list[SetOrder]:
    return [
        order._replace(carried=way.carried)
        for order, way in zip(orders, walked, strict=True)
        if way.refused is None
    ]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start here leave Polars one thread: together they fill the machine."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before
