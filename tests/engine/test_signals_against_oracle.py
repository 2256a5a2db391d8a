"""All signals against a second, slow implementation of the specification's words."""

from collections.abc import Callable

import polars as pl
import pytest
from signal_oracle import Oracle
from small_market import contexts_of, random_bars, seen, some_sessions

from engine.signals import SIGNALS

COSTS = {25, 26, 27, 28}
"""Their inputs are spread, slippage, friction and data quality: tested with those."""

Seen = tuple[pl.DataFrame, list[tuple[Oracle, int]]]


@pytest.fixture(scope="module", params=[(1, False), (2, True)], ids=str)
def market(request: pytest.FixtureRequest) -> Seen:
    """Seen bars of the last two sessions, and an oracle with its number of bars for each."""
    seed, wild = request.param
    sessions = some_sessions(5)
    bars = random_bars(seed, sessions, wild=wild)
    contexts = contexts_of(bars, sessions)
    frame = seen(bars, contexts).filter(pl.col("session_date") >= sessions[-2].session_date)
    oracles = []
    for context in contexts.tail(2).iter_rows(named=True):
        own = bars.filter(pl.col("session_date") == context["session_date"])
        oracles.append((Oracle(own.to_dicts(), context), own.height))
    return frame, oracles


def expected_values(
    oracles: list[tuple[Oracle, int]], value: Callable[[Oracle, int], float | None]
) -> list[float | None]:
    return [value(oracle, t) for oracle, bars in oracles for t in range(bars)]


@pytest.mark.parametrize("name", [s.name for s in SIGNALS.values() if s.number not in COSTS])
def test_a_signal_equals_its_definition_on_every_bar(market: Seen, name: str) -> None:
    frame, oracles = market
    signal = SIGNALS[name]

    raw = expected_values(oracles, lambda oracle, t: getattr(oracle, f"s{signal.number}")(t))
    expected = [None if x is None else max(signal.low, min(signal.high, x)) for x in raw]

    assert sum(x is not None for x in expected) > len(expected) // 3
    assert frame[name].to_list() == pytest.approx(expected, abs=1e-8)


def test_a_failed_break_equals_its_definition_on_every_bar(market: Seen) -> None:
    frame, oracles = market

    expected = expected_values(oracles, lambda oracle, t: oracle.failed_break(t))

    assert {-1.0, 0.0, 1.0} <= set(expected)
    assert frame["failed_break"].to_list() == expected
