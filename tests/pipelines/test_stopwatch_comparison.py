"""Trades of two engines, compared one by one: every cause on bars that bear it out, or not."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.errors import OffGridPrice
from engine.units import Side
from pipelines.stopwatch.comparison import Cause, Conventions, Prices, compare
from pipelines.stopwatch.rule import Fills, RaceRule
from pipelines.stopwatch.trades import RuleTrade, trades_of

RULE = RaceRule(channel_bars=2, stop_ticks=4, target_ticks=6, flat_minutes=1)
PLAIN = Conventions(rule=RULE, fills=Fills.THIS_CLOSE)
DESK = Conventions(rule=RULE, fills=Fills.THIS_CLOSE, slippage_ticks_max=2, waits_for_passing=True)
LONG = RuleTrade(
    side=Side.LONG,
    entry_bar=1,
    entry_ticks=100,
    exit_bar=2,
    exit_ticks=96,
    fees_usd=Decimal("1.24"),
)
"""Entered at a close of 100, so that its stop is 96 and its target 106."""


def bars(*later: tuple[int, int, int, int]) -> Prices:
    """Two bars that close at 100, and those given: open, high, low, close."""
    rows = [(100, 100, 100, 100), (100, 100, 100, 100), *later]
    first, high, low, last = zip(*rows, strict=True)
    return Prices(first, high, low, last)


def causes(ours: list[RuleTrade], theirs: list[RuleTrade], prices: Prices, rules: Conventions):
    return [difference.cause for difference in compare(ours, theirs, prices, rules).differences]


def test_equal_trades_are_the_same_and_nothing_needs_explaining() -> None:
    result = compare([LONG], [replace(LONG)], bars((100, 101, 95, 96)), PLAIN)

    assert (result.same, result.differences, result.is_explained) == (1, (), True)


def test_a_bar_that_holds_stop_and_target_lets_each_guess() -> None:
    won = replace(LONG, exit_ticks=106)

    assert causes([LONG], [won], bars((100, 106, 96, 100)), PLAIN) == [Cause.BOTH_IN_ONE_BAR]


@pytest.mark.parametrize("bar", [(100, 105, 96, 100), (100, 106, 97, 100)])
def test_a_bar_that_holds_one_of_them_is_no_excuse(bar: tuple[int, int, int, int]) -> None:
    won = replace(LONG, exit_ticks=106)

    assert causes([LONG], [won], bars(bar), PLAIN) == [Cause.UNEXPLAINED]


def test_an_open_beyond_the_target_may_be_taken_or_not() -> None:
    at_limit, at_open = replace(LONG, exit_ticks=106), replace(LONG, exit_ticks=108)

    assert causes([at_limit], [at_open], bars((108, 109, 107, 109)), PLAIN) == [Cause.OPENED_BEYOND]
    assert causes([at_limit], [at_open], bars((105, 109, 105, 109)), PLAIN) == [Cause.UNEXPLAINED]


def test_levels_hang_on_the_close_of_the_signal_whichever_way_the_entry_fills() -> None:
    opened = replace(LONG, entry_ticks=101)
    won = replace(opened, exit_ticks=107)
    prices = bars((100, 107, 97, 100))
    prices = Prices(prices.open, prices.high, prices.low, (101, 100, 100))

    at_next_open = replace(PLAIN, fills=Fills.NEXT_OPEN)

    assert causes([opened], [won], prices, at_next_open) == [Cause.BOTH_IN_ONE_BAR]
    assert causes([opened], [won], prices, PLAIN) == [Cause.UNEXPLAINED]


def test_a_target_that_was_only_touched_is_waited_for_by_one_of_them() -> None:
    touched, later = replace(LONG, exit_ticks=106), replace(LONG, exit_bar=3, exit_ticks=106)
    prices = bars((100, 106, 100, 105), (105, 108, 104, 108))

    assert causes([touched], [later], prices, DESK) == [Cause.ONLY_TOUCHED]
    assert causes([touched], [later], prices, PLAIN) == [Cause.UNEXPLAINED]


def test_a_target_that_was_passed_should_have_filled() -> None:
    passed, later = replace(LONG, exit_ticks=106), replace(LONG, exit_bar=3, exit_ticks=106)
    prices = bars((100, 107, 100, 105), (105, 108, 104, 108))

    assert causes([passed], [later], prices, DESK) == [Cause.UNEXPLAINED]


def test_slippage_explains_as_much_as_was_allowed() -> None:
    slipped, too_far = replace(LONG, entry_ticks=102), replace(LONG, entry_ticks=103)
    prices = bars((100, 101, 95, 96))

    assert causes([LONG], [slipped], prices, DESK) == [Cause.SLIPPAGE]
    assert causes([LONG], [too_far], prices, DESK) == [Cause.UNEXPLAINED]
    assert causes([LONG], [slipped], prices, PLAIN) == [Cause.UNEXPLAINED]


def test_fees_alone_are_told_as_fees() -> None:
    dearer = replace(LONG, fees_usd=Decimal("1.30"))

    assert causes([LONG], [dearer], bars((100, 101, 95, 96)), PLAIN) == [Cause.FEES]


def test_while_one_still_holds_its_trade_the_other_may_enter() -> None:
    touched, later = replace(LONG, exit_ticks=106), replace(LONG, exit_bar=4, exit_ticks=96)
    meanwhile = replace(LONG, entry_bar=3, exit_bar=5)
    afterwards = replace(LONG, entry_bar=6, exit_bar=7)
    prices = bars(*[(100, 106, 100, 100)] * 6)

    assert causes([touched, meanwhile], [later], prices, DESK) == [
        Cause.ONLY_TOUCHED,
        Cause.AFTERMATH,
    ]
    assert causes([touched, afterwards], [later], prices, DESK) == [
        Cause.ONLY_TOUCHED,
        Cause.UNEXPLAINED,
    ]


def test_at_the_next_open_the_later_one_waits_a_bar_longer() -> None:
    at_next_open = replace(DESK, fills=Fills.NEXT_OPEN)
    touched, later = replace(LONG, exit_ticks=106), replace(LONG, exit_bar=4, exit_ticks=96)
    right_after = replace(LONG, entry_bar=5, exit_bar=6)
    prices = bars(*[(100, 106, 100, 100)] * 6)

    assert causes([touched, right_after], [later], prices, at_next_open) == [
        Cause.ONLY_TOUCHED,
        Cause.AFTERMATH,
    ]
    assert causes([touched, right_after], [later], prices, DESK) == [
        Cause.ONLY_TOUCHED,
        Cause.UNEXPLAINED,
    ]


def test_a_trade_that_nobody_else_made_is_unexplained() -> None:
    result = compare([LONG], [], bars((100, 101, 95, 96)), PLAIN)

    assert [difference.cause for difference in result.differences] == [Cause.UNEXPLAINED]
    assert not result.is_explained
    assert result.differences[0].entry_bar == 1


def test_a_price_between_two_ticks_is_refused_and_dust_of_floating_point_is_not() -> None:
    row = {
        "side": -1,
        "entry_bar": 5,
        "entry": 5852.5,
        "exit_bar": 9,
        "exit": 5855.499999999999,
        "fees_usd": 1.2400000000000002,
    }

    (trade,) = trades_of([row], 0.25)

    assert (trade.side, trade.entry_ticks, trade.exit_ticks) == (Side.SHORT, 23_410, 23_422)
    assert trade.fees_usd == Decimal("1.24")
    with pytest.raises(OffGridPrice, match=r"bar 9: expected an exit on the 0\.25 grid, got 58"):
        trades_of([row | {"exit": 5855.4}], 0.25)
