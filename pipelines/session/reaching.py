"""Connecting to a broker that may not be there, while a person is still heard."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from engine.broker import LiveBroker

POLL_SECONDS: Final = 0.05
"""How long a person is not listened to at most."""


def connect_hearing(
    broker: LiveBroker, hear: Callable[[], None], is_enough: Callable[[], bool]
) -> bool:
    """Connect once, calling `hear` as long as that takes; false when it was enough before the end.

    The attempt has a thread of its own: a gateway that holds our client id may take minutes. One
    that is left alone ends when the broker is closed. Raises what connecting raises.
    """
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="connecting")
    attempt = threads.submit(broker.connect)
    threads.shutdown(wait=False)
    while not wait((attempt,), POLL_SECONDS).done:
        hear()
        if is_enough():
            return False
    attempt.result()
    return True
