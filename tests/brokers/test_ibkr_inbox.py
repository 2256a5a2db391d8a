"""The inbox between the adapter's loop and the desk's thread, and the broker's clock."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from exchange_tables import instant

from engine.broker import (
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
    PositionReported,
    QuoteReported,
)
from engine.errors import OffGridPrice
from pipelines.brokers.ibkr.inbox import Inbox
from pipelines.brokers.ibkr.market_clock import ClockKind, MarketClock

AT = instant(1)
LIVE = FeedReported(at=AT, state=FeedState.LIVE)


def position(quantity: int) -> PositionReported:
    return PositionReported(at=AT, symbol="MES", quantity=quantity)


def quote(bid: float) -> QuoteReported:
    return QuoteReported(at=AT, symbol="MES", bid=bid, ask=None)


def test_everything_is_told_once_and_in_the_order_it_came() -> None:
    inbox = Inbox()
    inbox.put([position(1), LIVE], AT)
    inbox.put([position(0)], AT)

    assert inbox.take_all() == [position(1), LIVE, position(0)]
    assert inbox.take_all() == []


def test_the_brokers_reports_can_be_taken_and_leave_the_market_behind() -> None:
    inbox = Inbox()
    inbox.put([position(1), LIVE, quote(1.0), position(0)], AT)

    assert inbox.take_broker_reports() == [position(1), position(0)]
    assert inbox.take_all() == [LIVE, quote(1.0)]


def test_only_the_last_of_quotes_that_nobody_read_is_kept() -> None:
    inbox = Inbox()
    for bid in range(5):
        inbox.put([quote(bid)], AT)
    inbox.put([LIVE, quote(7.0)], AT)

    assert inbox.take_all() == [quote(4.0), LIVE, quote(7.0)]


def test_waiting_ends_when_something_comes_and_not_before() -> None:
    inbox = Inbox()

    assert inbox.wait(0.0) is False
    thread = threading.Thread(target=inbox.put, args=([LIVE], AT))
    thread.start()
    assert inbox.wait(5.0) is True
    thread.join()


def test_a_broken_assumption_wakes_the_reader_and_is_raised_once() -> None:
    inbox = Inbox()
    inbox.put([LIVE], AT)
    inbox.fail(OffGridPrice("between two ticks"))

    assert inbox.wait(0.0) is True
    with pytest.raises(OffGridPrice):
        inbox.take_all()
    assert inbox.take_all() == [LIVE]


def test_an_inbox_nobody_reads_stays_small_and_asks_for_a_reconciliation() -> None:
    inbox = Inbox(reports_max=10)

    for quantity in range(11):
        inbox.put([position(quantity)], AT)

    told = inbox.take_all()
    assert [r.state for r in told if isinstance(r, ConnectionReported)] == [
        ConnectionState.DATA_LOST,
        ConnectionState.UP,
    ]
    assert len(told) == 2


def test_a_told_clock_stands_still_between_messages_and_never_goes_back() -> None:
    clock = MarketClock(ClockKind.TOLD)
    clock.told(instant(5))
    clock.told(instant(3))
    clock.answered(instant(4))

    assert clock.now() == instant(5)
    assert clock.now() == instant(5)


def test_a_local_clock_is_corrected_by_what_a_second_can_tell() -> None:
    clock = MarketClock(ClockKind.LOCAL)
    true = datetime.now(UTC).replace(microsecond=0)

    clock.answered(true)
    unchanged = clock.offset
    clock.answered(true + timedelta(seconds=100))

    assert unchanged == timedelta(0)
    assert timedelta(seconds=98) < clock.offset < timedelta(seconds=102)
    assert clock.now() - datetime.now(UTC) > timedelta(seconds=97)


def test_a_local_clock_corrected_backwards_does_not_go_back() -> None:
    clock = MarketClock(ClockKind.LOCAL)
    clock.answered(datetime.now(UTC))
    before = clock.now()

    clock.answered(before - timedelta(seconds=100))

    assert clock.now() >= before


def test_a_first_answer_may_be_of_any_time() -> None:
    clock = MarketClock(ClockKind.LOCAL)
    before = clock.now()

    clock.answered(instant(1))

    assert before > instant(1) + timedelta(days=1)
    assert instant(1) <= clock.now() < instant(2)
