"""Deliver alerts beside whatever runs: a thread per target, so that a slow one delays nobody."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from engine.errors import CredenceError
from pipelines.alerts.alert import Alert
from pipelines.alerts.outbox import Outbox, Told

LOOK_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 15.0
"""Each round that told less than it should doubles the wait, up to this."""

CLOSE_SECONDS_MAX: Final = 30.0

_LOG: Final = logging.getLogger(__name__)


def tell_pending(outboxes: Sequence[Outbox]) -> list[Told]:
    """One round for every target at once; each is bounded by its attempts and time-outs.

    What goes wrong with one target is its answer, and keeps nothing from another.
    """
    return _at_once(outboxes, lambda outbox: outbox.deliver(Event()))


def tell_unwritten(outboxes: Sequence[Outbox], alert: Alert) -> list[str]:
    """Tell every target at once what no journal keeps; returns who did not hear of it, and why."""
    told = _at_once(outboxes, lambda outbox: outbox.tell(alert, Event()))
    return [each.problem for each in told if each.problem]


def begin_all(outboxes: Sequence[Outbox]) -> list[str]:
    """Let every new target hear of what is written from now on; returns what went wrong."""
    begun = [_safely(outbox, Outbox.begin) for outbox in outboxes]
    return [each.problem for each in begun if each.problem]


def _at_once(outboxes: Sequence[Outbox], ask: Callable[[Outbox], Told]) -> list[Told]:
    if not outboxes:
        return []
    with ThreadPoolExecutor(max_workers=len(outboxes)) as pool:
        return list(pool.map(lambda outbox: _safely(outbox, ask), outboxes))


def _safely(outbox: Outbox, ask: Callable[[Outbox], Told]) -> Told:
    """The answer, or what kept it from coming: no place could be read or kept."""
    try:
        return ask(outbox)
    except (CredenceError, OSError, sqlite3.Error, ValueError) as error:
        return Told(
            target=outbox.target.label,
            problem=f"{outbox.target.label}: alerts could not be read or kept ({error})",
        )


@contextmanager
def alerts_told(outboxes: Sequence[Outbox]) -> Iterator[None]:
    """Deliver while the block runs, and what is left when it ends, within a bound."""
    for problem in begin_all(outboxes):
        _LOG.warning("%s; trying again", problem)
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
    told = _safely(outbox, lambda each: each.deliver(stop))
    if told.problem is not None:
        _LOG.warning("%s; trying again", told.problem)
    return told.problem is None
