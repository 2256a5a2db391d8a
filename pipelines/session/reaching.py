"""Connecting to a broker that may not be there, while a person is still heard."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from time import monotonic, sleep
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tenacity.wait import wait_base

from engine.broker import LiveBroker
from engine.errors import BrokerTimeout, BrokerUnreachable

POLL_SECONDS: Final = 0.05
"""How long a person is not listened to at most."""

CONNECTING: Final = "connecting to the broker"
WAITS: Final = wait_exponential_jitter(multiplier=0.5, max=15.0, jitter=0.5)
"""A gateway that restarts is back within minutes; it is noticed soon after."""


def reach(
    broker: LiveBroker,
    *,
    hear: Callable[[str], None],
    is_enough: Callable[[], bool],
    is_over: Callable[[], bool],
    say: Callable[[str], None],
    waits: wait_base = WAITS,
) -> bool:
    """Connect, again and again while the broker is out of reach; false when it was enough.

    `hear` is called all the while with what the last attempt came to. Raises the broker's
    last error when an attempt fails and it `is_over`, and any other at once.
    """
    trouble = CONNECTING

    def note(attempt: RetryCallState) -> None:
        nonlocal trouble
        error = attempt.outcome.exception() if attempt.outcome else None
        trouble = f"waiting for the broker, {attempt.attempt_number} attempts: {error}"
        say(trouble)

    def pause(seconds: float) -> None:
        until = monotonic() + seconds
        while not is_enough() and (left := until - monotonic()) > 0:
            hear(trouble)
            sleep(min(left, POLL_SECONDS))

    def attempt() -> bool:
        return not is_enough() and connect_hearing(broker, lambda: hear(trouble), is_enough)

    retrying = Retrying(
        retry=retry_if_exception_type((BrokerUnreachable, BrokerTimeout)),
        wait=waits,
        stop=lambda _: is_over(),
        before_sleep=note,
        sleep=pause,
        reraise=True,
    )
    return retrying(attempt)


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
