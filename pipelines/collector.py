"""When Python looks for garbage in cycles: not by chance, but while nobody waits.

A pass over all that a session has loaded takes a tenth of a second, which would be a bar's decision
too late; a replay's loop makes no cycles at all.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """No pass by itself meanwhile, only by `tidy_up`; afterwards all is as it was."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def tidy_up() -> None:
    """Free what has become garbage since the last time; what lives on is not looked at again."""
    gc.collect()
    gc.freeze()
