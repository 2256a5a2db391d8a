"""The constitution: what is counted, when a counter starts again, and that no limit is passed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from engine.ladder import STEP, Reason
from engine.risk import (
    RiskState,
    budget_usd,
    cooldown_ends_at,
    is_locked_out,
    risk_reason,
    risk_reasons,
    smallest_worst_case_usd,
    tier_of,
    worst_case_usd,
)

RULES = load_rules()
LAW = RULES.constitution
MONDAY = date(2026, 3, 2)
TEN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LEAST = smallest_worst_case_usd(RULES)
FRESH = RiskState().new_session(MONDAY)


def lost(*results: str, state: RiskState = FRESH) -> RiskState:
    for number, result in enumerate(results):
        state = state.entered(TEN + timedelta(hours=2 * number)).closed(Decimal(result))
    return state


def test_a_fresh_session_may_trade() -> None:
    assert risk_reason(FRESH, LAW, Decimal("17.50"), TEN) is None


def test_the_worst_case_holds_the_stop_both_fees_and_the_slippage() -> None:
    # Given 12 ticks of $1.25, and 2.5 ticks of fees and slippage for the round trip
    worst = worst_case_usd(12, 2.5, RULES.instrument)

    assert worst == Decimal("18.13")  # 15.00 + 3.125, rounded up: a limit is never met by rounding.


def test_the_smallest_trade_risks_its_stop_fees_and_base_slippage() -> None:
    # 6 ticks of $1.25, two sides of $0.62, two sides of half a tick
    assert Decimal("9.99") == LEAST


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (lost("-21.00"), Reason.DAILY_LOSS_LIMIT),
        (replace(FRESH, net_usd_this_week=Decimal("-66.00")), Reason.WEEKLY_LOSS_LIMIT),
        (replace(FRESH, net_usd_this_month=Decimal("-141.00")), Reason.MONTHLY_LOSS_LIMIT),
        (lost("3.00", "4.00"), Reason.MAX_TRADES_REACHED),
        (replace(lost("-1.00"), loss_streak=2), Reason.CONSECUTIVE_LOSS_LOCKOUT),
        (FRESH.entered(TEN - timedelta(minutes=59)), Reason.COOLDOWN_ACTIVE),
    ],
)
def test_each_limit_gives_its_reason(state: RiskState, reason: Reason) -> None:
    at = TEN if reason is Reason.COOLDOWN_ACTIVE else TEN + timedelta(hours=5)

    assert risk_reason(state, LAW, LEAST, at) is reason


def test_a_worst_case_that_just_fits_the_limit_is_allowed_and_a_cent_more_is_not() -> None:
    state = lost("-12.50")
    later = TEN + timedelta(hours=3)

    assert budget_usd(state, LAW) == Decimal("17.50")
    assert risk_reason(state, LAW, Decimal("17.50"), later) is None
    assert risk_reason(state, LAW, Decimal("17.51"), later) is Reason.DAILY_LOSS_LIMIT


def test_the_budget_is_the_smallest_of_day_week_and_month() -> None:
    state = replace(
        FRESH, net_usd_this_week=Decimal("-60.00"), net_usd_this_month=Decimal("-148.00")
    )

    assert budget_usd(state, LAW) == Decimal("2.00")


def test_of_two_limits_the_earlier_on_the_ladder_is_reported() -> None:
    state = replace(lost("-12.00", "-12.00"), net_usd_this_week=Decimal("-74.00"))

    reasons = risk_reasons(state, LAW, LEAST)

    assert reasons == (
        Reason.DAILY_LOSS_LIMIT,
        Reason.WEEKLY_LOSS_LIMIT,
        Reason.MAX_TRADES_REACHED,
        Reason.CONSECUTIVE_LOSS_LOCKOUT,
    )
    assert sorted(reasons, key=STEP.__getitem__) == list(reasons)


def test_one_entry_an_hour_ends_to_the_minute() -> None:
    state = FRESH.entered(TEN)

    assert cooldown_ends_at(state, LAW) == TEN + timedelta(minutes=60)
    assert risk_reason(state, LAW, LEAST, TEN + timedelta(minutes=59)) is Reason.COOLDOWN_ACTIVE
    assert risk_reason(state, LAW, LEAST, TEN + timedelta(minutes=60)) is None


def test_with_more_entries_an_hour_the_minutes_between_two_still_hold() -> None:
    law = replace(LAW, entries_per_hour_max=2)
    first, second = TEN, TEN + timedelta(minutes=40)

    assert cooldown_ends_at(FRESH.entered(first), law) == TEN + timedelta(minutes=30)
    assert cooldown_ends_at(FRESH.entered(first).entered(second), law) == TEN + timedelta(
        minutes=70
    )


def test_a_new_session_forgets_the_day_and_keeps_week_and_month() -> None:
    tuesday = lost("-10.00").new_session(date(2026, 3, 3))

    assert tuesday == RiskState(
        session_date=date(2026, 3, 3),
        net_usd_this_week=Decimal("-10.00"),
        net_usd_this_month=Decimal("-10.00"),
        loss_streak=1,
    )


def test_the_same_session_opened_twice_forgets_nothing() -> None:
    state = lost("-10.00")

    assert state.new_session(MONDAY) is state


@pytest.mark.parametrize(
    ("before", "after", "keeps_week", "keeps_month"),
    [
        (date(2026, 3, 6), date(2026, 3, 9), False, True),  # Friday to Monday
        (date(2026, 3, 31), date(2026, 4, 1), True, False),  # within one week, over a month's end
        (date(2025, 12, 31), date(2026, 1, 2), True, False),  # one ISO week in two years
        (date(2025, 3, 3), date(2026, 3, 2), False, False),  # a year later: same month, same week?
    ],
)
def test_weeks_and_months_roll_by_the_calendar(
    before: date, after: date, *, keeps_week: bool, keeps_month: bool
) -> None:
    state = lost("-7.00", state=RiskState().new_session(before)).new_session(after)

    assert (state.net_usd_this_week == Decimal("-7.00")) is keeps_week
    assert (state.net_usd_this_month == Decimal("-7.00")) is keeps_month


def test_two_losses_in_a_row_lock_out_until_the_next_session_even_across_the_night() -> None:
    # Given the last trade of Monday lost, and the first of Tuesday
    monday = lost("5.00", "-5.00")
    tuesday = lost("-5.00", state=monday.new_session(date(2026, 3, 3)))

    assert not is_locked_out(monday, LAW)
    assert is_locked_out(tuesday, LAW)
    assert risk_reasons(tuesday, LAW, LEAST) == (Reason.CONSECUTIVE_LOSS_LOCKOUT,)
    assert not is_locked_out(tuesday.new_session(date(2026, 3, 4)), LAW)


def test_a_correction_of_costs_moves_every_total_and_no_count() -> None:
    state = lost("-10.00")

    corrected = state.corrected(Decimal("-0.24"))

    assert corrected == replace(
        state,
        net_usd_today=Decimal("-10.24"),
        net_usd_this_week=Decimal("-10.24"),
        net_usd_this_month=Decimal("-10.24"),
    )


def test_a_win_ends_the_streak() -> None:
    assert lost("-5.00", "1.00").loss_streak == 0


@pytest.mark.parametrize(
    ("equity", "name"),
    [("0", "S"), ("2499.99", "S"), ("2500", "A"), ("7499.99", "A"), ("7500", "B"), ("1e6", "B")],
)
def test_the_tier_follows_equity_with_exclusive_upper_bounds(equity: str, name: str) -> None:
    assert tier_of(Decimal(equity), LAW).name == name


cents = st.integers(min_value=0, max_value=100)
trades = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=3),  # days since the trade before
        st.integers(min_value=6, max_value=12),  # stop
        st.floats(min_value=1.0, max_value=12.0),  # friction
        cents,  # share of the worst case that is lost, or won, in hundredths
        st.booleans(),
    ),
    max_size=60,
)


def worst_period_usd(
    history: list[tuple[int, int, float, int, bool]], *, asks: bool
) -> tuple[Decimal, Decimal, Decimal]:
    """Lowest day, week and month of a history traded by the rules, or by nobody's."""
    state, at = FRESH, TEN
    lowest = (Decimal(0), Decimal(0), Decimal(0))
    for days, stop, friction, share, is_win in history:
        at += timedelta(days=days, hours=0 if days else 1)
        state = state.new_session(at.date())
        worst = worst_case_usd(stop, friction, RULES.instrument)
        if asks and risk_reason(state, LAW, worst, at) is not None:
            continue
        result = worst * share / 100
        state = state.entered(at).closed(result if is_win else -result)
        now = (state.net_usd_today, state.net_usd_this_week, state.net_usd_this_month)
        lowest = tuple(min(pair) for pair in zip(lowest, now, strict=True))
    return lowest


@given(trades)
def test_no_limit_is_ever_passed_while_a_loss_stays_within_its_worst_case(
    history: list[tuple[int, int, float, int, bool]],
) -> None:
    day, week, month = worst_period_usd(history, asks=True)

    assert day >= -LAW.loss_usd_per_day_max
    assert week >= -LAW.loss_usd_per_week_max
    assert month >= -LAW.loss_usd_per_month_max


def test_the_law_catches_a_desk_that_does_not_ask() -> None:
    always_losing = [(0, 12, 3.0, 100, False)] * 3

    day, _, _ = worst_period_usd(always_losing, asks=False)

    assert day < -LAW.loss_usd_per_day_max
