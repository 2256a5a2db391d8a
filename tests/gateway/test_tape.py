"""A minute and its twelve parts say the same, to the tick and the lot."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import load_rules
from engine.broker import ExecutionReported, PlaceBracket
from engine.exchange import Exchange, exchange_settings
from engine.units import DecisionId, OrderRef, Side
from pipelines.gateway.tape import (
    FIVE_SECONDS,
    MINUTE,
    TapeBar,
    five_second_bars,
    minute_from,
    session_minutes,
)

OPENS_AT = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)
BAR = TapeBar("MES", OPENS_AT, OPENS_AT + MINUTE, 100, 110, 93, 104, 1000, 400, 103, 105)


@st.composite
def minutes(draw: st.DrawFn) -> TapeBar:
    low = draw(st.integers(-50, 30_000))
    high = low + draw(st.integers(0, 60))
    inside = st.integers(low, high)
    close = draw(inside)
    volume = draw(st.one_of(st.integers(0, 30), st.integers(0, 2_000_000)))
    quotes = st.one_of(st.none(), st.integers(-6, 6))
    bid, ask = draw(quotes), draw(quotes)
    return TapeBar(
        symbol="MES",
        opens_at=OPENS_AT,
        closes_at=OPENS_AT + MINUTE,
        open_ticks=draw(inside),
        high_ticks=high,
        low_ticks=low,
        close_ticks=close,
        volume=volume,
        trades=draw(st.one_of(st.none(), st.integers(0, volume))),
        bid_ticks=None if bid is None else close + bid,
        ask_ticks=None if ask is None else close + ask,
    )


def assert_tells_the_minute(parts: tuple[TapeBar, ...], minute: TapeBar) -> None:
    assert minute_from(parts) == minute
    assert [part.opens_at for part in parts] == [
        minute.opens_at + part * FIVE_SECONDS for part in range(12)
    ]
    for part in parts:
        assert part.closes_at == part.opens_at + FIVE_SECONDS
        assert part.low_ticks <= min(part.open_ticks, part.close_ticks)
        assert part.high_ticks >= max(part.open_ticks, part.close_ticks)
        assert part.volume >= 0
        assert part.trades is None or 0 <= part.trades <= part.volume
    for before, after in pairwise(parts):
        assert after.open_ticks == before.close_ticks


@given(minutes())
@example(BAR._replace(volume=0, trades=0))
@example(BAR._replace(volume=13, trades=6))
def test_twelve_parts_make_exactly_the_minute_they_were_made_from(minute: TapeBar) -> None:
    parts = five_second_bars(minute)

    assert_tells_the_minute(parts, minute)


@given(minutes())
def test_a_part_that_moves_has_volume_while_there_is_any(minute: TapeBar) -> None:
    parts = five_second_bars(minute)

    without = [p for p in parts if p.volume == 0 and p.high_ticks > p.low_ticks]
    moving = sum(part.high_ticks > part.low_ticks for part in parts)

    assert len(without) == max(0, moving - minute.volume)


def lost_extreme(parts: list[TapeBar]) -> None:
    top = max(range(12), key=lambda part: parts[part].high_ticks)
    for part in (top, top + 1):
        price = parts[part].high_ticks - 1
        parts[part] = parts[part]._replace(
            high_ticks=price,
            close_ticks=min(parts[part].close_ticks, price),
            open_ticks=min(parts[part].open_ticks, price),
        )


def lost_lot(parts: list[TapeBar]) -> None:
    parts[5] = parts[5]._replace(volume=parts[5].volume - 1)


def trade_without_a_lot(parts: list[TapeBar]) -> None:
    parts[0] = parts[0]._replace(volume=0)
    parts[1] = parts[1]._replace(volume=parts[1].volume + five_second_bars(BAR)[0].volume)


def late_quote(parts: list[TapeBar]) -> None:
    parts[11] = parts[11]._replace(bid_ticks=parts[10].bid_ticks)


@pytest.mark.parametrize("bug", [lost_extreme, lost_lot, trade_without_a_lot, late_quote])
def test_a_planted_bug_is_seen(bug) -> None:
    parts = list(five_second_bars(BAR))
    bug(parts)

    with pytest.raises(AssertionError):
        assert_tells_the_minute(tuple(parts), BAR)


def test_the_path_goes_to_the_nearer_extreme_first_a_third_of_the_minute_each() -> None:
    parts = five_second_bars(BAR)

    closes = [98, 96, 94, 93, 97, 101, 105, 110, 108, 107, 105, 104]
    assert [part.close_ticks for part in parts] == closes
    assert (parts[4].bid_ticks, parts[4].ask_ticks) == (96, 98)


def bracket(entry_limit_ticks: int) -> PlaceBracket:
    return PlaceBracket(
        decision_id=DecisionId("d"),
        symbol="MES",
        side=Side.LONG,
        quantity=1,
        entry_ref=OrderRef("d/entry"),
        stop_ref=OrderRef("d/stop"),
        target_ref=OrderRef("d/target"),
        entry_limit_ticks=entry_limit_ticks,
        stop_ticks=entry_limit_ticks - 400,
        target_ticks=entry_limit_ticks + 400,
        entry_expires_at=OPENS_AT + timedelta(hours=1),
    )


def fills(parts: tuple[TapeBar, ...], seconds: int, limit_ticks: int) -> list[tuple[str, int]]:
    settings = exchange_settings(load_rules("MES"), Decimal(10_000), bar_seconds=seconds)
    exchange = Exchange(settings)
    exchange.submit(bracket(limit_ticks), OPENS_AT - MINUTE)
    told = [report for part in parts for report in exchange.on_bar(part)]
    return [(e.ref, e.price_ticks) for e in told if isinstance(e, ExecutionReported)]


@given(minutes(), st.integers(-70, 70))
def test_an_order_trades_in_the_parts_as_it_does_in_the_minute(
    minute: TapeBar, distance_ticks: int
) -> None:
    limit_ticks = minute.open_ticks + distance_ticks

    in_parts = fills(five_second_bars(minute), 5, limit_ticks)

    assert in_parts == fills((minute,), 60, limit_ticks)


def test_a_minute_without_a_row_is_told_without_volume_at_the_last_price() -> None:
    later = BAR._replace(opens_at=OPENS_AT + 2 * MINUTE, closes_at=OPENS_AT + 3 * MINUTE)

    told = list(session_minutes([BAR, later], OPENS_AT, OPENS_AT + 4 * MINUTE, None))

    assert [bar.opens_at for bar in told] == [OPENS_AT + n * MINUTE for n in range(4)]
    assert [bar.volume for bar in told] == [1000, 0, 1000, 0]
    for part in five_second_bars(told[1]):
        assert (part.open_ticks, part.high_ticks, part.low_ticks, part.close_ticks) == (104,) * 4
        assert (part.volume, part.trades, part.bid_ticks, part.ask_ticks) == (0, 0, 103, 105)


def test_nothing_is_told_before_any_price_is_known_and_the_prior_close_counts() -> None:
    late = BAR._replace(opens_at=OPENS_AT + MINUTE, closes_at=OPENS_AT + 2 * MINUTE)

    unknown = list(session_minutes([late], OPENS_AT, OPENS_AT + 2 * MINUTE, None))
    known = list(session_minutes([late], OPENS_AT, OPENS_AT + 2 * MINUTE, BAR))

    assert unknown == [late]
    assert [bar.close_ticks for bar in known] == [104, 104]
