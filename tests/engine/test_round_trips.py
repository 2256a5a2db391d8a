"""Trades come from executions alone, in whatever order they are told, and equal the cash."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from night_cases import FEE, FLAT, PRICE, RULES, Night, at, market_of, plan_of, ref_of

from contracts.schemas import validate
from engine.broker import OrderEvent, OrderReported, PlaceProtection
from engine.desk.facts import IntentRecorded
from engine.trade import ExitKind, StopMoved
from engine.units import DecisionId, OrderRef, Side

CALM = market_of(*[FLAT] * 60)
TICK = RULES.instrument.tick_value_usd


def stopped() -> Night:
    return Night(CALM).planned().filled(10.1, "entry", 1, PRICE).filled(12.5, "stop", -1, PRICE - 9)


def parts_usd(row: dict[str, Any]) -> Decimal:
    parts: Decimal = row["signal_usd"] + row["timing_usd"] + row["slippage_usd"] - row["fees_usd"]
    return parts


def test_a_round_trip_is_what_its_two_fills_say() -> None:
    row = stopped().trade()

    assert (row["decision_id"], row["template"], row["side"], row["quantity"]) == (
        "MES-1440",
        "K1",
        1,
        1,
    )
    assert (row["opened_at"], row["closed_at"], row["bars_held"]) == (at(10.1), at(12.5), 3)
    assert (row["entry_ticks"], row["exit_ticks"], row["exit_kind"]) == (PRICE, PRICE - 9, "stop")
    assert (row["gross_ticks"], row["gross_usd"]) == (-9, -9 * TICK)
    assert (row["fees_usd"], row["net_usd"]) == (2 * FEE, -9 * TICK - 2 * FEE)
    assert row["net_r"] == pytest.approx(float(row["net_usd"] / TICK) / 8)
    assert (row["entry_slippage_ticks"], row["exit_slippage_ticks"]) == (0, 1)
    assert (row["arrival_mid_ticks"], row["arrival_slippage_ticks"]) == (PRICE + 0.5, -0.5)
    assert row["order_refs"] == f"{ref_of('entry')},{ref_of('stop')}"


def test_a_duplicate_execution_is_one_fill() -> None:
    night = stopped()

    doubled = Night(CALM, [*night.facts, *night.facts[-4:]])

    assert doubled.trades().equals(night.trades())


def test_a_correction_takes_the_place_of_what_it_corrects_and_keeps_its_fee() -> None:
    night = stopped().filled(12.5, "stop", -1, PRICE - 8, execution_id="0001.0002.02", fee_usd=None)

    row = night.trade()

    assert (row["gross_ticks"], row["fees_usd"]) == (-8, 2 * FEE)
    assert row["are_fees_reported"]
    assert "0001.0002.02" in row["fills_json"]
    assert "0001.0002.01" not in row["fills_json"]


def test_reports_that_come_late_and_out_of_order_change_nothing_but_their_numbers() -> None:
    night = stopped()
    entry, entry_fee, stop, stop_fee = night.facts[-4:]

    late = Night(CALM, [*night.facts[:-4], stop, stop_fee, entry, entry_fee])

    assert late.trades().equals(night.trades())


def test_a_fee_that_is_not_reported_is_estimated_and_said_to_be() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)
    night.filled(12, "target", -1, PRICE + 12, fee_usd=None)

    before = night.trade()
    after = night.charged(300, "0001.0002.01", Decimal("0.70")).trade()

    assert (before["fees_usd"], before["are_fees_reported"]) == (2 * FEE, False)
    assert (after["fees_usd"], after["are_fees_reported"]) == (FEE + Decimal("0.70"), True)


def test_partial_fills_make_one_trade_at_the_average_price() -> None:
    night = Night(CALM).planned(plan_of(quantity=3))
    night.filled(10.1, "entry", 1, PRICE, quantity=1).filled(
        10.2, "entry", 1, PRICE + 3, quantity=2
    )
    night.filled(14, "target", -1, PRICE + 12, quantity=3)

    row = night.trade()

    assert (row["quantity"], row["entry_ticks"], row["gross_ticks"]) == (3, PRICE + 2, 30)
    assert (row["partials"], row["fees_usd"]) == (1, 6 * FEE)
    assert row["entry_slippage_ticks"] == 2


def test_a_position_that_somebody_else_opened_is_a_trade_without_a_decision() -> None:
    night = Night(CALM).filled(20, "", -1, PRICE, ref="").filled(22, "", 1, PRICE - 4, ref="tws:7")

    row = night.accounts(4 * TICK - 2 * FEE).trade()

    assert (row["decision_id"], row["template"], row["exit_kind"]) == (None, None, None)
    assert (row["side"], row["gross_ticks"]) == (-1, 4)
    assert night.ledger().is_equal
    validate("trades", night.trades())


def test_a_stop_that_fills_twice_closes_one_trade_and_opens_one_nobody_decided_on() -> None:
    night = stopped().filled(12.6, "stop", -1, PRICE - 10).filled(13, "flatten", 1, PRICE - 9)

    rows = night.trades().to_dicts()

    assert [row["decision_id"] for row in rows] == ["MES-1440", None]
    assert [row["gross_ticks"] for row in rows] == [-9, -1 * (PRICE - 9) + (PRICE - 10)]


def test_a_fill_through_flat_is_split_and_so_is_its_fee() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)
    night.filled(12, "flatten", -1, PRICE + 4, quantity=3, fee_usd=Decimal("0.3333"))
    night.filled(13, "flatten", 1, PRICE, quantity=2)

    rows = night.trades().to_dicts()

    assert [(row["quantity"], row["gross_ticks"]) for row in rows] == [(1, 4), (2, 8)]
    paid = [row["fees_usd"] for row in rows]
    assert paid == [FEE + Decimal("0.3333"), Decimal("0.6666") + 2 * FEE]


def test_lots_without_an_execution_are_no_trade_and_the_ledger_says_so() -> None:
    night = Night(CALM).adopted(11, 0, 1).filled(11.5, "flatten", -1, PRICE)

    ledger = night.accounts(Decimal(-3)).ledger()

    assert night.trades().is_empty()
    assert (ledger.is_equal, ledger.position, ledger.difference_usd) == (False, -1, -3)
    assert "leave a position of -1" in ledger.text


def test_a_position_held_from_before_does_not_turn_its_end_into_a_beginning() -> None:
    night = Night(CALM).holding(0, 1).filled(1, "flatten", -1, PRICE)

    night.planned().filled(10.1, "entry", 1, PRICE).filled(12, "target", -1, PRICE + 12)

    assert night.trade()["gross_ticks"] == 12


def test_a_position_that_vanished_is_not_joined_to_the_next_trade() -> None:
    night = Night(CALM).planned().filled(5, "entry", 1, PRICE - 50).adopted(9, 1, 0)

    night.filled(10.1, "entry", 1, PRICE).filled(12, "target", -1, PRICE + 12)

    row = night.trade()
    assert (row["quantity"], row["gross_ticks"]) == (1, 12)


def test_a_position_still_open_is_no_trade_yet() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)

    ledger = night.accounts(-FEE).ledger()

    assert night.trades().is_empty()
    assert (ledger.is_equal, ledger.position) == (False, 1)


def test_the_ledger_equals_the_broker_to_the_cent_or_says_by_how_much_it_does_not() -> None:
    earned = -9 * TICK - 2 * FEE

    equal = stopped().accounts(earned).ledger()
    different = stopped().accounts(earned - Decimal("0.01")).ledger()

    assert equal.is_equal
    assert (different.is_equal, different.difference_usd) == (False, Decimal("-0.01"))
    assert stopped().ledger().difference_usd is None


def test_a_moved_stop_is_a_protected_one_and_the_price_it_had_is_what_it_slipped_from() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)
    night.told(
        StopMoved(
            at=at(12),
            decision_id=DecisionId("MES-1440"),
            from_ticks=PRICE - 8,
            to_ticks=PRICE + 2,
            cause="profit_protection",
        )
    )

    row = night.filled(13.5, "stop", -1, PRICE + 1).trade()

    assert (row["exit_kind"], row["stop_moves"]) == ("protected_stop", 1)
    assert (row["exit_slippage_ticks"], row["stop_price_ticks"]) == (1, PRICE - 8)


@pytest.mark.parametrize("kind", [ExitKind.THESIS, ExitKind.KILL, ExitKind.FLATTEN_TIME])
def test_a_market_exit_is_named_after_what_asked_for_it(kind: ExitKind) -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE).asked_out(13, kind)

    assert night.filled(13.01, "flatten", -1, PRICE).trade()["exit_kind"] == kind


def test_a_market_exit_nobody_asked_for_is_the_work_of_the_kill_switch() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)

    assert night.filled(13, "flatten", -1, PRICE).trade()["exit_kind"] == "kill"


def test_an_exit_at_the_close_of_a_bar_is_not_held_through_the_next() -> None:
    night = Night(CALM).planned().filled(10.004, "entry", 1, PRICE).asked_out(13, ExitKind.THESIS)

    row = night.filled(13.004, "flatten", -1, PRICE).trade()

    assert row["bars_held"] == 3


def test_excursions_count_what_was_surely_seen_while_it_was_held() -> None:
    bars = [FLAT] * 10 + [
        (PRICE, PRICE + 5, PRICE - 6, PRICE + 1),  # Opened in the middle of it.
        (PRICE + 1, PRICE + 4, PRICE - 2, PRICE + 1),
        (PRICE, PRICE + 30, PRICE - 30, PRICE),  # Closed in the middle of it.
    ]
    night = Night(market_of(*bars)).planned()

    in_the_middle = (
        night.filled(10.5, "entry", 1, PRICE).filled(12.5, "stop", -1, PRICE - 3).trade()
    )
    night = Night(market_of(*bars)).planned()
    at_once = night.filled(10.004, "entry", 1, PRICE).filled(12.5, "stop", -1, PRICE - 3).trade()

    assert (in_the_middle["mae_ticks"], in_the_middle["mfe_ticks"]) == (3, 4)
    assert (at_once["mae_ticks"], at_once["mfe_ticks"]) == (6, 5)


def test_the_time_without_a_living_stop_is_counted() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)
    lost = OrderReported(at=at(11), ref=ref_of("stop"), event=OrderEvent.CANCELLED)

    row = night.told(lost).filled(11.2, "flatten", -1, PRICE).trade()

    assert (stopped().trade()["unprotected_seconds"], row["unprotected_seconds"]) == (0, 12)


def test_a_stop_that_is_sent_and_refused_again_and_again_protects_nothing() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE)
    night.told(OrderReported(at=at(11), ref=ref_of("stop"), event=OrderEvent.CANCELLED))
    for number in range(1, 21):
        second, ref = 11 + number / 60, OrderRef(f"{ref_of('stop')}-{number + 1}")
        sent = PlaceProtection(
            symbol="MES",
            side=Side.LONG,
            quantity=1,
            stop_ref=ref,
            stop_ticks=PRICE - 8,
            target_ref=None,
            target_ticks=PRICE + 12,
        )
        night.told(
            IntentRecorded(
                at=at(second - 0.999 / 60), decision_id=DecisionId("MES-1440"), command=sent
            ),
            OrderReported(at=at(second - 0.001 / 60), ref=ref, event=OrderEvent.REJECTED),
        )

    row = night.filled(11 + 21 / 60, "flatten", -1, PRICE).trade()

    assert (row["unprotected_seconds"], row["rejects"]) == (21, 20)


def test_refused_orders_of_the_trade_are_counted_once() -> None:
    refused = OrderReported(at=at(10), ref=ref_of("target"), event=OrderEvent.REJECTED)

    night = Night(CALM).planned().told(refused, refused)

    night.filled(10.1, "entry", 1, PRICE).filled(12, "stop", -1, PRICE - 8)
    assert night.trade()["rejects"] == 1


# ── Where the money came from ───────────────────────────────────────────────────────────────────


def test_signal_timing_slippage_and_fees_are_told_apart() -> None:
    bars = [FLAT] * 10 + [(PRICE, PRICE + 3, PRICE, PRICE + 2)] + [FLAT] * 2
    bars += [(PRICE, PRICE + 9, PRICE, PRICE + 8), (PRICE, PRICE + 9, PRICE, PRICE + 6)]
    night = Night(market_of(*bars)).planned()
    # Decided at mid 20000.5, filled a bar later when the mid was 20002.5, one tick above it.
    night.filled(11.1, "entry", 1, PRICE + 3)
    # Asked out at mid 20008.5, filled a bar later at mid 20006.5, half a tick below it.
    night.asked_out(14, ExitKind.THESIS).filled(15.1, "flatten", -1, PRICE + 6)

    row = night.trade()

    assert row["signal_usd"] == 8 * TICK
    assert row["timing_usd"] == -4 * TICK
    assert row["slippage_usd"] == -TICK
    assert parts_usd(row) == row["net_usd"] == 3 * TICK - 2 * FEE


def test_a_stop_was_decided_at_its_own_price() -> None:
    row = stopped().trade()

    assert row["signal_usd"] == Decimal("-8.5") * TICK
    assert (row["timing_usd"], row["slippage_usd"]) == (0, Decimal("-0.5") * TICK)


def test_without_quotes_the_last_price_stands_in_and_the_arrival_mid_is_unknown() -> None:
    night = Night(market_of(*[FLAT] * 60, quotes=False)).planned()

    row = night.filled(10.1, "entry", 1, PRICE + 1).filled(12, "target", -1, PRICE + 12).trade()

    assert (row["arrival_mid_ticks"], row["arrival_slippage_ticks"]) == (None, None)
    assert (row["signal_usd"], row["slippage_usd"]) == (12 * TICK, -TICK)


FILLS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([-1, 1]),
        st.integers(-40, 40),
        st.sampled_from(["entry", "stop", "target", "flatten", "foreign"]),
        st.decimals("0.01", "9.99", places=2),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(fills=FILLS, shuffle=st.randoms(use_true_random=False))
def test_whatever_was_filled_the_parts_sum_and_the_trades_are_the_cash(
    fills: list[tuple[int, int, int, str, Decimal]], shuffle: Any
) -> None:
    night = Night(CALM).planned()
    position, cash = 0, Decimal(0)
    reports = []

    def fill(minute: int, lots: int, ticks: int, leg: str, fee: Decimal) -> None:
        nonlocal position, cash
        before = len(night.facts)
        ref = "elsewhere" if leg == "foreign" else None
        side, price, quantity = (1 if lots > 0 else -1), PRICE + ticks, abs(lots)
        night.filled(minute, leg, side, price, quantity=quantity, fee_usd=fee, ref=ref)
        reports.append(night.facts[before:])
        del night.facts[before:]
        position += lots
        cash -= lots * price * TICK + fee * quantity

    for minute, (quantity, side, ticks, leg, fee) in enumerate(fills, start=11):
        fill(minute, side * quantity, ticks, leg, fee)
    if position:
        fill(40, -position, 0, "flatten", FEE)
    shuffle.shuffle(reports)
    for told in reports:
        night.told(*told)

    rows = night.accounts(cash).trades()

    assert position == 0
    assert night.ledger().is_equal
    assert sum(rows["net_usd"]) == cash
    for row in rows.to_dicts():
        assert parts_usd(row) == row["net_usd"]
    validate("trades", rows)


def test_a_decision_carried_out_short_mirrors_the_long_one() -> None:
    plan = plan_of(side=Side.SHORT, stop_price_ticks=PRICE + 8, target_price_ticks=PRICE - 12)
    night = Night(CALM).planned(plan).filled(10.1, "entry", -1, PRICE)

    row = night.filled(12, "stop", 1, PRICE + 9).trade()

    assert (row["gross_ticks"], row["exit_slippage_ticks"], row["mae_ticks"]) == (-9, 1, 9)
    assert row["closed_at"] - row["opened_at"] == timedelta(minutes=1.9)


def test_a_fill_of_another_sessions_order_is_none_of_todays_decision_of_that_minute() -> None:
    night = Night(CALM).filled(2, "", 1, PRICE, ref="2024-01-02/MES-1440/entry")
    night.filled(4, "", -1, PRICE - 4, ref="2024-01-02/MES-1440/stop").planned()
    night.filled(10.1, "entry", 1, PRICE).filled(12, "target", -1, PRICE + 12)

    rows = night.trades().to_dicts()

    assert [(row["decision_id"], row["template"], row["exit_kind"]) for row in rows] == [
        (None, None, None),
        ("MES-1440", "K1", "target"),
    ]
    assert [row["gross_ticks"] for row in rows] == [-4, 12]
    validate("trades", night.trades())


def test_a_trade_whose_plan_the_journal_does_not_hold_was_decided_by_nobody_there() -> None:
    night = Night(CALM).filled(2, "entry", 1, PRICE).filled(4, "stop", -1, PRICE - 4)

    row = night.trade()

    assert (row["decision_id"], row["template"]) == (None, None)
    validate("trades", night.trades())
