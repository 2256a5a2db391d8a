"""Work done one item ahead of its use, in a thread beside the one that uses it."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

_T = TypeVar("_T")

_SWITCH_SECONDS: Final = 0.0005
"""How long a thread that comes back from Polars waits for the interpreter; by default ten times as
long, a hundred times a chunk."""


def one_ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same items in the same order, the next one being made while the last one is used.

    Worth it for items whose making leaves the interpreter free, as Polars does; on one processor
    each is made when it is asked for. What goes wrong in the making is raised where it is asked.
    """
    if len(os.sched_getaffinity(0)) < 2:
        yield from items
        return
    with _quick_switching(), ThreadPoolExecutor(1, "ahead") as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


@contextmanager
def _quick_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
