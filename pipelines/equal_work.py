"""How evenly a machine works: the same piece of work again and again, and how long each took.

A piece waits for nothing and touches no memory to speak of: what varies is the machine.
"""

import time
from collections.abc import Callable
from statistics import median
from time import perf_counter, thread_time
from typing import Final

PIECE_MS: Final = 12.0
"""A piece takes about as long as a bar's decision."""

PAUSE_SECONDS: Final = 0.015
_TRIED: Final = 20


def equal_work_ms(pieces: int, piece_ms: float = PIECE_MS) -> list[float]:
    """Milliseconds by the clock of each piece, with a pause before it as between two bars.

    How much work fills `piece_ms` is found by the processor's time, so that a machine busy
    with others gets no less of it.
    """
    turns = 100_000
    tried = [_piece_ms(turns, thread_time) for _ in range(_TRIED)]
    turns = int(turns * piece_ms / median(tried))
    found = []
    for _ in range(pieces):
        time.sleep(PAUSE_SECONDS)
        found.append(_piece_ms(turns, perf_counter))
    return found


def _piece_ms(turns: int, clock: Callable[[], float]) -> float:
    started = clock()
    total = 0
    for turn in range(turns):
        total += turn * turn
    return 1_000 * (clock() - started)
