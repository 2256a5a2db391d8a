"""A bracket by itself fills as it would at the simulated exchange."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import load_rules
from engine.broker import (
    ExecutionReported,
    FlattenPosition,
    Leg,
    OrderEvent,
    OrderReported,
    PlaceBracket,
    ReplaceStop,
)
from engine.exchange import Exchange, exchange_settings
from engine.exchange.matching import PriceBar
from engine.learning.sweep.lone_bracket import BracketBar, Fill, LoneBracket, Prices
from engine.learning.sweep.tape import instant_of, instant_us
from engine.supervisor import Orders, order_ref, read_ref
from engine.units import DecisionId, Side

RULES = load_rules("MES")
SETTINGS = exchange_settings(RULES, Decimal(1_000_000))
STARTS_AT = datetime(2024, 1, 2, 15, 0, tzinfo=UTC)
DECISION = DecisionId("MES-1500")
REF_OF = partial(order_ref, STARTS_AT.date(), DECISION, orders=Orders())
LIFE = timedelta(seconds=90)
MINUTE = timedelta(minutes=1)

Heard = list[Fill | int]
"""Fills in order, and the instant at which the entry ended unfilled."""


def bar_of(draw: st.DrawFn, nth: int) -> PriceBar:
    opened, closed = draw(st.integers(-3, 3)), draw(st.integers(-3, 3))
    high = max(opened, closed) + draw(st.integers(0, 6))
    low = min(opened, closed) - draw(st.integers(0, 6))
    slippage = draw(st.sampled_from([None, 0.0, 0.5, 0.75, 1.0, 2.25, 9.0]))
    at = STARTS_AT + (nth + 1) * MINUTE
    return PriceBar("MES", at, opened, high, low, closed, slippage_ticks=slippage)


@st.composite
def courses(draw: st.DrawFn) -> tuple[Prices, list[PriceBar], int, int, int]:
    """Prices, bars, where the stop is moved and to what, and where the position is flattened."""
    side = draw(st.sampled_from(list(Side)))
    limit = draw(st.integers(-3, 3))
    stop = limit - side * draw(st.integers(1, 9))
    target = limit + side * draw(st.integers(1, 9))
    bars = [bar_of(draw, nth) for nth in range(6)]
    moved = stop + side * draw(st.integers(0, 3))
    return (
        Prices(side, limit, stop, target),
        bars,
        draw(st.integers(1, 5)),
        moved,
        draw(st.integers(1, 5)),
    )


def at_the_exchange(course: tuple[Prices, list[PriceBar], int, int, int], seed: int) -> Heard:
    """What the exchange told."""
    prices, bars, moves_on, moved, flattens_on = course
    exchange, heard = Exchange(SETTINGS, seed=seed), Heard()
    placed = PlaceBracket(
        decision_id=DECISION,
        symbol="MES",
        side=prices.side,
        quantity=1,
        entry_ref=REF_OF(Leg.ENTRY),
        stop_ref=REF_OF(Leg.STOP),
        target_ref=REF_OF(Leg.TARGET),
        entry_limit_ticks=prices.limit_ticks,
        stop_ticks=prices.stop_ticks,
        target_ticks=prices.target_ticks,
        entry_expires_at=STARTS_AT + LIFE,
    )
    reports = exchange.submit(placed, STARTS_AT)
    for nth, bar in enumerate(bars):
        reports += exchange.on_bar(bar)
        if exchange.truth(bar.closes_at).positions:
            if nth == moves_on:
                move = ReplaceStop(ref=placed.stop_ref, stop_ticks=moved)
                reports += exchange.submit(move, bar.closes_at)
            if nth == flattens_on:
                flatten = FlattenPosition(symbol="MES", ref=REF_OF(Leg.FLATTEN))
                reports += exchange.submit(flatten, bar.closes_at)
    for report in reports:
        if isinstance(report, ExecutionReported):
            leg = read_ref(report.ref)
            assert leg is not None
            heard.append(Fill(leg[1], instant_us(report.at), report.price_ticks))
        elif isinstance(report, OrderReported) and report.event is OrderEvent.EXPIRED:
            heard.append(instant_us(report.at))
    return heard


def by_itself(
    course: tuple[Prices, list[PriceBar], int, int, int],
    seed: int,
    kind: type[LoneBracket] = LoneBracket,
) -> Heard:
    prices, bars, moves_on, moved, flattens_on = course
    life_us = LIFE // timedelta(microseconds=1)
    chances = (seed, REF_OF)
    lone, heard = kind(prices, instant_us(STARTS_AT), life_us, SETTINGS, chances), Heard()
    for nth, bar in enumerate(bars):
        heard += lone.on_bar(BracketBar(instant_us(bar.closes_at), *bar[2:6], bar.slippage_ticks))
        if lone.ended_us is not None:
            return [lone.ended_us]
        if len(heard) == 1:
            if nth == moves_on:
                lone.move_stop(moved)
            if nth == flattens_on:
                lone.flatten(instant_us(bar.closes_at))
    return heard


class Hopeful(LoneBracket):
    """The planted bug: a target does not wait although the rest of the bar reaches the stop."""

    def _stop_comes_first(self, ahead: Sequence[tuple[int, int]]) -> bool:
        return False


def test_a_target_that_does_not_wait_for_its_stop_would_be_seen() -> None:
    calm, wild = ((0, 1, -1, 0), (0, 4, -5, 0))
    bars = [
        PriceBar("MES", STARTS_AT + (nth + 1) * MINUTE, *each)
        for nth, each in enumerate((calm, wild))
    ]
    course = (Prices(Side.LONG, 0, -3, 3), bars, 9, 0, 9)

    right, hopeful = by_itself(course, 0), by_itself(course, 0, Hopeful)

    assert right == at_the_exchange(course, 0)
    assert [fill.leg for fill in right if isinstance(fill, Fill)] == [Leg.ENTRY, Leg.STOP]
    assert hopeful != right


@settings(max_examples=400, deadline=None)
@given(course=courses(), seed=st.integers(0, 3))
def test_a_bracket_by_itself_fills_when_and_where_the_exchange_fills_it(
    course: tuple[Prices, list[PriceBar], int, int, int], seed: int
) -> None:
    heard = at_the_exchange(course, seed)

    alone = by_itself(course, seed)

    assert alone == heard


def test_the_same_instant_comes_back() -> None:
    at = datetime(2024, 2, 29, 15, 31, 2, 250_000, tzinfo=UTC)

    assert instant_of(instant_us(at)) == at
    assert instant_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
