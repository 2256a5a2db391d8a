"""Thousands of runs on two cores: the pool, what they came to together, and the failing cases."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from time import monotonic
from typing import Final

from pipelines.campaign.case import Case
from pipelines.campaign.minimise import minimised
from pipelines.campaign.run import Outcome, play
from pipelines.campaign.stage import the_stage
from pipelines.collector import collector_at_rest, tidy_up

BATCH: Final = 20
"""Runs that a worker plays before it answers."""

FAILURES_MAX: Final = 10
"""So many failing runs are made small and told; after them the campaign stops."""


@dataclass(slots=True, kw_only=True)
class Total:
    """What a campaign came to."""

    runs: int = 0
    sessions: int = 0
    events: int = 0
    trades: int = 0
    seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    @property
    def sessions_per_second(self) -> float:
        return self.sessions / self.seconds if self.seconds else 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.runs += 1
        self.sessions += outcome.sessions
        self.events += outcome.events
        self.trades += outcome.trades
        self.happened.update(outcome.happened)
        if outcome.broken is not None:
            self.broken.append(outcome)


def run_campaign(
    sessions: int,
    seed: int,
    *,
    workers: int,
    minutes: float | None = None,
    advance: Callable[[int], None] | None = None,
) -> Total:
    """Play runs from a seed on until so many sessions are done, or the time or the failures are.

    One worker plays in this process. `advance` hears the sessions done after each batch.
    """
    total, started = Total(), monotonic()
    deadline = None if minutes is None else started + 60 * minutes
    batches = _here if workers == 1 else _pooled
    for outcomes in batches(seed, workers):
        for outcome in outcomes:
            total.add(outcome)
        if advance is not None:
            advance(total.sessions)
        is_late = deadline is not None and monotonic() >= deadline
        if total.sessions >= sessions or is_late or len(total.broken) >= FAILURES_MAX:
            break
    total.seconds = monotonic() - started
    return total


def _here(seed: int, _workers: int) -> Iterator[list[Outcome]]:
    for number in count(seed):
        yield [_judged(number)]


def _pooled(seed: int, workers: int) -> Iterator[list[Outcome]]:
    """Batches in order of completion; two are under way for each worker, so that none waits."""
    seeds = count(seed, BATCH)
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        running: set[Future[list[Outcome]]] = set()
        while True:
            while len(running) < 2 * workers:
                running.add(pool.submit(_batch, next(seeds)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batch(first: int) -> list[Outcome]:
    the_stage()
    with collector_at_rest():
        tidy_up()
        return [_judged(seed) for seed in range(first, first + BATCH)]


def _judged(seed: int) -> Outcome:
    outcome = play(Case(seed=seed), the_stage())
    return outcome if outcome.broken is None else minimised(outcome, the_stage())
