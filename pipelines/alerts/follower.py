"""Deliver alerts beside whatever runs: a thread per target, so that a slow one delays nobody."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from engine.errors import CredenceError
from pipelines.alerts.outbox import Outbox, Told

LOOK_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 15.0
"""Each round that told less than it should doubles the wait, up to this."""

CLOSE_SECONDS_MAX: Final = 30.0

_LOG: Final = logging.getLogger(__name__)


def tell_pending(outboxes: Sequence[Outbox]) -> list[Told]:
    """One round for every target at once; each is bounded by its attempts and time-outs."""
    if not outboxes:
        return []
    stop = Event()
    with ThreadPoolExecutor(max_workers=len(outboxes)) as pool:
        return list(pool.map(lambda outbox: outbox.deliver(stop), outboxes))


@contextmanager
def alerts_told(outboxes: Sequence[Outbox]) -> Iterator[None]:
    """Deliver while the block runs, and what is left when it ends, within a bound."""
    stop = Event()
    threads = [
        Thread(target=_follow, args=(outbox, stop), name=outbox.target.label, daemon=True)
        for outbox in outboxes
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(CLOSE_SECONDS_MAX)


def _follow(outbox: Outbox, stop: Event) -> None:
    wait_seconds = LOOK_SECONDS
    while not stop.wait(wait_seconds):
        is_done = _round(outbox, stop)
        wait_seconds = LOOK_SECONDS if is_done else min(2 * wait_seconds, AGAIN_SECONDS_MAX)
    _round(outbox, Event())  # What happened last is often what matters most.


def _round(outbox: Outbox, stop: Event) -> bool:
    """Whether all that could be read was told; what went wrong is logged and tried again."""
    try:
        told = outbox.deliver(stop)
    except (CredenceError, OSError, sqlite3.Error, ValueError) as error:
        _LOG.warning("%s: alerts could not be read (%s); trying again", outbox.target.label, error)
        return False
    if told.problem is not None:
        _LOG.warning("%s; trying again", told.problem)
    return told.problem is None
