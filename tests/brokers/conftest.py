"""An adapter that is connected and subscribed, for the tests of what IB does to it."""

from collections.abc import Iterator

import pytest
from brokers.gateway_bench import IMPATIENT, bench
from ibkr_scene import Scene


@pytest.fixture
def at() -> Iterator[Scene]:
    """An adapter connected and subscribed, at the close of the session's first minute."""
    with bench() as made:
        yield Scene(made).begun()


@pytest.fixture
def impatient() -> Iterator[Scene]:
    """The same, with a third of a second until bars are missed and asked for again."""
    with bench(patience=IMPATIENT) as made:
        yield Scene(made).begun()
