"""What is traded on the account outside any trade: found, ended, and counted in the limits."""

import json
from decimal import Decimal

import pytest
from desk_stage import PRICE, RULES, account, at, fill, opened, row, setup, snapshot, told, working

from engine.broker import CommissionReported, OrderEvent, OrderKind
from engine.desk import OperatorCommanded, OperatorVerb
from engine.kill import KillCause
from engine.units import Side

FEE_USD = RULES.instrument.fees.per_side_usd


def test_flattening_what_another_hand_bought_counts_in_the_limits(stage):
    stage.tell(fill("hand-1", Side.LONG, PRICE, 30, name="x.1.01"))
    flatten = stage.commands[-1]

    stage.tell(fill(flatten.ref, Side.SHORT, PRICE - 20, 30.1, name="x.2.01"))

    assert stage.state.position == 0
    assert stage.state.risk.net_usd_today == Decimal("-25.00") - 2 * FEE_USD
    assert stage.state.risk.losses_today == 0
    assert [fact.execution_ids for fact in stage.facts("OutsideResultCounted")] == [
        ("x.1.01", "x.2.01")
    ]


def test_a_loss_outside_a_trade_leaves_a_resumed_desk_no_room_for_an_entry(stage):
    stage.tell(fill("hand-1", Side.LONG, PRICE, 30, name="x.1.01"))
    stage.tell(fill(stage.commands[-1].ref, Side.SHORT, PRICE - 20, 30.1, name="x.2.01"))
    executions = stage.state.ledger.executions
    resume = OperatorCommanded(at=at(32), verb=OperatorVerb.RESUME, by="ada", reason="seen")
    stage.tell(snapshot(31, executions=executions), resume)

    stage.tell(row(40, PRICE, setup()))

    assert stage.state.kill.is_running
    assert json.loads(stage.entries[-1].payload)["reason"] == "DAILY_LOSS_LIMIT"


def test_a_late_commission_corrects_a_result_outside_a_trade(stage):
    stage.tell(fill("hand-1", Side.LONG, PRICE, 30, name="x.1.01"))
    stage.tell(fill(stage.commands[-1].ref, Side.SHORT, PRICE, 30.1, name="x.2.01"))
    told = CommissionReported(at=at(31), execution_id="x.2.01", commission_usd=Decimal("1.00"))

    stage.tell(told, told)

    assert stage.state.risk.net_usd_today == -FEE_USD - Decimal("1.00")


def test_what_filled_beside_the_trade_is_counted_once_and_so_is_the_trade(stage):
    bracket = stage.hold()
    stage.tell(
        fill(bracket.stop_ref, Side.SHORT, PRICE - 7, 44, name="x.2.01"),
        fill(bracket.target_ref, Side.SHORT, PRICE + 13, 44, name="x.3.01"),
    )
    trade = stage.state.risk.net_usd_today
    flatten = stage.commands[-1]

    stage.tell(fill(flatten.ref, Side.LONG, PRICE + 13, 44.1, name="x.4.01"))

    entry = bracket.entry_limit_ticks
    assert trade == (PRICE - 7 - entry) * Decimal("1.25") - 2 * FEE_USD
    assert stage.state.risk.net_usd_today == trade - 2 * FEE_USD


def test_what_was_paid_for_an_adopted_position_is_unknown_and_only_fees_are_counted(stage):
    stage.tell(snapshot(30, position=1), snapshot(30.1, position=1))
    flatten = stage.commands[-1]

    stage.tell(fill(flatten.ref, Side.SHORT, PRICE - 20, 30.2, name="x.1.01"))

    assert stage.state.position == 0
    assert stage.state.risk.net_usd_today == -FEE_USD


@pytest.mark.parametrize(("hand", "held"), [(Side.LONG, 2), (Side.SHORT, 0)])
def test_a_hand_in_our_trade_kills_and_the_trade_ends_once_the_account_is_flat(stage, hand, held):
    bracket = stage.hold()

    stage.tell(fill("hand-1", hand, PRICE, 44, name="x.2.01"))
    during = stage.state
    flatten = stage.commands[-1]
    refs = (bracket.stop_ref, bracket.target_ref)
    stage.tell(*(told(ref, OrderEvent.CANCELLED, 44.1) for ref in refs))
    if held:
        stage.tell(fill(flatten.ref, Side.SHORT, PRICE - 4, 44.1, name="x.3.01", lots=held))
    executions = stage.state.ledger.executions
    stage.tell(snapshot(45, executions=executions))

    flow = sum(-f.side * f.quantity * f.price_ticks for f in executions)
    lots = sum(f.quantity for f in executions)
    assert (during.position, during.kill.is_killed) == (held, True)
    assert stage.state.trade is None
    assert stage.state.kill.is_flat_verified
    assert stage.state.risk.net_usd_today == flow * Decimal("1.25") - lots * FEE_USD


def test_a_position_that_vanished_ends_its_trade_at_the_last_close(stage):
    stage.hold()
    stage.tell(row(42, PRICE - 4))
    gained = stage.state.trade.path_ticks[-1]

    stage.tell(snapshot(44), snapshot(44.1), snapshot(45))

    assert stage.state.trade is None
    assert stage.state.risk.net_usd_today == gained * Decimal("1.25") - FEE_USD


# ── What was counted, and what of it is told again ──────────────────────────────────────────────


def closed_by_its_stop(stage):
    bracket = stage.hold()
    stage.tell(
        fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks, 45, name="z.1.01"),
        told(bracket.stop_ref, OrderEvent.FILLED, 45),
        told(bracket.target_ref, OrderEvent.CANCELLED, 45),
    )
    return bracket


def test_a_later_word_on_a_counted_fill_corrects_the_day_and_halts_at_its_limit(stage):
    bracket = closed_by_its_stop(stage)
    before = stage.state.risk

    stage.tell(fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks - 20, 46, name="z.1.02"))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, bracket.stop_ticks - 20, 46.1, name="z.1.02"))

    assert stage.state.risk.net_usd_today == before.net_usd_today - 20 * Decimal("1.25")
    assert stage.state.kill.cause is KillCause.DAILY_LOSS
    assert stage.state.position == 0


def test_a_commission_that_brings_the_day_to_its_limit_halts(stage):
    closed_by_its_stop(stage)
    left = RULES.constitution.loss_usd_per_day_max + stage.state.risk.net_usd_today

    stage.tell(CommissionReported(at=at(46), execution_id="z.1.01", commission_usd=left + FEE_USD))

    assert stage.state.risk.net_usd_today == -RULES.constitution.loss_usd_per_day_max
    assert stage.state.kill.cause is KillCause.DAILY_LOSS


def test_what_was_flattened_before_the_open_is_not_booked_again_in_the_new_session(stage):
    bracket = stage.hold()
    stage.tell(row(41))
    before_open = 22.5 * 60
    stage.tell(
        OperatorCommanded(at=at(before_open), verb=OperatorVerb.FLATTEN, by="ada", reason="a test")
    )
    flatten = stage.commands[-1]
    sold = fill(flatten.ref, Side.SHORT, PRICE, before_open + 0.1, name="y.1.01")
    stage.tell(
        sold,
        told(flatten.ref, OrderEvent.FILLED, before_open + 0.1),
        told(bracket.stop_ref, OrderEvent.CANCELLED, before_open + 0.1),
        told(bracket.target_ref, OrderEvent.CANCELLED, before_open + 0.1),
    )
    tomorrow = at(1440)
    stage.tell(
        opened(at=at(1435), session_date=tomorrow.date(), opens_at=tomorrow, closes_at=at(1830))
    )

    stage.tell(snapshot(1435.1, executions=[sold]), sold)
    corrected = fill(flatten.ref, Side.SHORT, PRICE - 1, 1435.2, name="y.1.02")
    stage.tell(corrected)

    assert stage.state.position == 0
    assert stage.state.risk.net_usd_today == 0
    assert stage.state.kill.is_running


def test_a_decision_in_the_minute_of_one_carried_over_the_night_is_a_trade_of_its_own(stage):
    carried = stage.hold()
    day = 1440
    stage.tell(
        opened(at=at(day), session_date=at(day).date(), opens_at=at(day), closes_at=at(day + 390))
    )
    listed = [
        working(carried.stop_ref, Side.SHORT, carried.stop_ticks, OrderKind.STOP_MARKET),
        working(carried.target_ref, Side.SHORT, carried.target_ticks, OrderKind.LIMIT),
    ]
    stage.tell(account(minute=day), snapshot(day + 0.01, position=1, working=listed))
    stage.tell(
        fill(carried.target_ref, Side.SHORT, carried.target_ticks, day + 5, name="z.1.01"),
        told(carried.target_ref, OrderEvent.FILLED, day + 5),
        told(carried.stop_ref, OrderEvent.CANCELLED, day + 5),
    )
    won = stage.state.risk.net_usd_today
    same_minute = row(40, PRICE, setup(1))._replace(
        session_date=at(day).date(), closes_at=at(day + 41)
    )
    stage.tell(same_minute)

    (bracket,) = stage.tell(snapshot(day + 41.01, executions=stage.state.ledger.executions))

    assert bracket.entry_ref == "2024-03-06/MES-1511/entry"
    assert stage.state.risk.net_usd_today == won
    assert [each.decision_id for each in stage.facts("TradeClosed")] == ["MES-1511"]
