"""The newest bar of a live session: the row of the batch, prepared for or not."""

import gc
import weakref
from datetime import timedelta

import polars as pl
import pytest
from replay_market import RULES, market

from engine.market import market_frame, market_rows
from engine.narrative import journal_text
from pipelines.live_market import LiveMarket

MARKET = market(3)
DAY = MARKET.contexts["session_date"][2]
CONTEXT = MARKET.contexts.filter(session_date=DAY)
BARS = MARKET.bars.filter(session_date=DAY)
BATCH = market_rows(journal_text(market_frame(MARKET.contexts, MARKET.bars, RULES), RULES))[
    -BARS.height :
]


@pytest.fixture
def live():
    with LiveMarket(RULES, CONTEXT) as live:
        yield live


def closed_before(minute: int):
    """The close of the bar before this one."""
    return BARS["closes_at"][minute - 1]


@pytest.mark.parametrize("minute", [1, 2, 19, 59, 60, 61, 200, 389])
def test_the_newest_row_is_that_of_the_batch_to_the_bit(live, minute):
    bars = BARS.head(minute + 1)

    plain = live.newest(bars, after=closed_before(minute))
    live.prepare(bars.head(minute))
    prepared = live.newest(bars, after=closed_before(minute))

    assert [repr(row) for row in (*plain, *prepared)] == [repr(BATCH[minute])] * 2


def test_every_bar_of_a_session_may_be_prepared_for(live):
    rows = list(live.newest(BARS.head(1)))

    for minute in range(1, 40):
        live.prepare(BARS.head(minute))
        rows += live.newest(BARS.head(minute + 1), after=closed_before(minute))

    assert rows == BATCH[:40]


def test_bars_that_were_missed_come_in_order_with_the_next_one(live):
    live.prepare(BARS.head(10))

    rows = live.newest(BARS.head(14), after=closed_before(10))

    assert list(rows) == BATCH[10:14]


def test_no_new_bar_is_no_row(live):
    live.prepare(BARS.head(10))

    assert list(live.newest(BARS.head(10), after=closed_before(10))) == []
    assert list(live.newest(BARS.head(11), after=closed_before(10))) == [BATCH[10]]


def test_bars_with_another_column_are_computed_by_a_plan_of_their_own(live):
    arrived = BARS.with_columns(arrived_at=pl.col("closes_at") + timedelta(seconds=9))
    live.prepare(BARS.head(30))

    rows = live.newest(arrived.head(31), after=closed_before(30))

    late = market_frame(CONTEXT, arrived.head(31), RULES)
    assert rows == market_rows(journal_text(late, RULES))[-1:]
    assert rows[0].dvs < BATCH[30].dvs


def test_a_bar_that_comes_after_the_wait_was_given_up_is_computed_all_the_same():
    with LiveMarket(RULES, CONTEXT, wait_seconds_max=0.0) as live:
        live.prepare(BARS.head(30))
        live.wait_until_prepared()

        assert list(live.newest(BARS.head(31), after=closed_before(30))) == [BATCH[30]]


def test_a_failure_is_raised_where_the_row_is_asked_for_and_the_next_bar_is_computed(live):
    live.prepare(BARS.head(30))

    with pytest.raises(pl.exceptions.PolarsError):
        live._query.result(BARS.head(31))  # Without their context.

    assert list(live.newest(BARS.head(31), after=closed_before(30))) == [BATCH[30]]


def test_two_sessions_at_once_are_never_taken_for_one():
    with LiveMarket(RULES, MARKET.contexts) as live:
        rows = live.newest(MARKET.bars, after=MARKET.bars["closes_at"][-2])

    assert list(rows) == [BATCH[-1]]


def test_closing_ends_the_thread_that_waits():
    live = LiveMarket(RULES, CONTEXT)
    live.prepare(BARS.head(30))
    thread = live._query._thread

    live.close()

    assert not any(waiting.is_alive() for waiting in thread._threads)


def test_a_market_that_was_closed_leaves_nothing_behind():
    live = LiveMarket(RULES, CONTEXT)
    live.prepare(BARS.head(10))
    live.newest(BARS.head(11), after=closed_before(10))
    live.prepare(BARS.head(11))
    live.wait_until_prepared()
    query = weakref.ref(live._query)

    live.close()

    gc.collect()
    assert query() is None
