"""Minutes out of 5-second bars: each is given out once, whole or as missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from exchange_tables import MINUTE, OPEN_AT, instant
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import BarReported
from engine.calendar import Session
from pipelines.brokers.ibkr.messages import FiveSecondBar
from pipelines.brokers.ibkr.minute_bars import MinuteBars, Missing, Quotes

SESSION = Session(
    session_date=OPEN_AT.date(),
    opens_at=OPEN_AT,
    closes_at=instant(390),
    prior_session_date=None,
)
QUOTES = Quotes(4999.75, 5000.25)


def part(number: int, *, price: float = 5000.0, trades: int | None = 2) -> FiveSecondBar:
    """The part of a number counted from the open: 0 to 11 are the first minute."""
    return FiveSecondBar(
        request_id=1,
        opens_at=OPEN_AT + timedelta(seconds=5 * number),
        open=price,
        high=price + 0.5,
        low=price - 0.25,
        close=price + 0.25,
        volume=10,
        trades=trades,
    )


def played(
    parts: Sequence[FiveSecondBar],
    bars: MinuteBars | None = None,
    session: Session | None = SESSION,
) -> list[BarReported | Missing]:
    bars = bars or MinuteBars("MES")
    given_out = (bars.add(each, QUOTES, session, each.opens_at) for each in parts)
    return [out for out in given_out if out is not None]


def covered(given_out: Sequence[BarReported | Missing]) -> list[datetime]:
    """Openings of every minute given out, in order, repetitions included."""
    minutes: list[datetime] = []
    for out in given_out:
        if isinstance(out, BarReported):
            minutes.append(out.opens_at)
        else:
            count = (out.until - out.since) // MINUTE
            minutes += [out.since + n * MINUTE for n in range(count)]
    return minutes


def test_twelve_parts_make_a_minute_with_the_last_quotes() -> None:
    parts = [part(n, price=5000 + n) for n in range(12)]

    (bar,) = played(parts)

    assert isinstance(bar, BarReported)
    assert (bar.symbol, bar.opens_at, bar.is_backfill) == ("MES", OPEN_AT, False)
    assert (bar.open, bar.high, bar.low, bar.close) == (5000, 5011.5, 4999.75, 5011.25)
    assert (bar.volume, bar.trades, bar.bid, bar.ask) == (120, 24, 4999.75, 5000.25)


def test_the_minute_is_given_out_with_its_last_part_and_not_later() -> None:
    bars = MinuteBars("MES")

    assert played([part(n) for n in range(11)], bars) == []
    assert len(played([part(11)], bars)) == 1


def test_trades_are_unknown_when_a_part_did_not_count_them() -> None:
    parts = [part(n, trades=None if n == 5 else 2) for n in range(12)]

    (bar,) = played(parts)

    assert isinstance(bar, BarReported)
    assert bar.trades is None


def test_a_part_told_twice_counts_once() -> None:
    (bar,) = played([part(n) for n in (*range(8), 7, 7, *range(8, 12))])

    assert isinstance(bar, BarReported)
    assert bar.volume == 120


def test_a_minute_told_again_is_dropped() -> None:
    bars = MinuteBars("MES")
    played([part(n) for n in range(12)], bars)

    assert played([part(n) for n in range(12)], bars) == []


def test_a_minute_with_a_missing_part_is_asked_for_when_it_is_over() -> None:
    given_out = played([part(n) for n in range(24) if n != 4])

    assert given_out[0] == Missing(OPEN_AT, instant(1))
    assert isinstance(given_out[1], BarReported)


def test_a_minute_without_its_last_part_is_asked_for_by_the_next_one() -> None:
    given_out = played([part(n) for n in range(24) if n != 11])

    assert given_out[0] == Missing(OPEN_AT, instant(1))
    assert isinstance(given_out[1], BarReported)


def test_minutes_of_silence_are_asked_for_in_one_piece() -> None:
    given_out = played([part(n) for n in range(72) if not 30 <= n < 60])

    assert covered(given_out) == [instant(n) for n in range(6)]
    assert Missing(instant(2), instant(5)) in given_out


def test_a_first_minute_joined_in_the_middle_is_asked_for() -> None:
    assert played([part(n) for n in range(5, 12)]) == [Missing(OPEN_AT, instant(1))]


def test_nothing_before_the_open_is_asked_for_when_the_session_begins() -> None:
    bars = MinuteBars("MES")
    played([part(-200)], bars, None)

    given_out = played([part(n) for n in range(12)], bars)

    assert covered(given_out) == [OPEN_AT]


def test_the_night_is_not_asked_for_outside_a_session() -> None:
    bars = MinuteBars("MES")
    played([part(n) for n in range(12)], bars, None)

    given_out = played([part(n) for n in range(12 * 600, 12 * 601)], bars, None)

    assert covered(given_out) == [instant(600)]


@given(st.sets(st.integers(0, 59), max_size=50))
def test_every_minute_is_given_out_once_and_in_order_whatever_is_lost(lost: set[int]) -> None:
    parts = [part(n) for n in range(72) if n not in lost]

    minutes = covered(played(parts))

    first = min(n for n in range(72) if n not in lost) // 12
    assert minutes == [instant(n) for n in range(first, 6)]


@given(st.lists(st.integers(0, 71), max_size=80))
def test_no_minute_is_ever_given_out_twice(numbers: list[int]) -> None:
    minutes = covered(played([part(n) for n in numbers]))

    assert len(minutes) == len(set(minutes))
    assert minutes == sorted(minutes)
