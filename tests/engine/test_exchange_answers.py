"""What the exchange tells: of fills, money and positions, and of what it refuses."""

from decimal import Decimal

import pytest
from exchange_tables import (
    ENTRY,
    FEE,
    STOP,
    TARGET,
    bar,
    bracket,
    cancel,
    entered,
    instant,
    refs,
    settings,
    story,
)

from contracts import load_rules
from engine.broker import (
    AccountReported,
    CommissionReported,
    ExecutionReported,
    OrderKind,
    PositionReported,
    QueryBroker,
)
from engine.errors import DuplicateOrderRef, InputRefused
from engine.exchange import Exchange, exchange_settings
from engine.units import Side


def test_every_fill_tells_execution_state_commission_position_and_money() -> None:
    exchange = Exchange(settings(margin_usd=1000))
    exchange.submit(bracket(100, 94, 108, quantity=2), instant(1))

    reports = exchange.on_bar(bar(1, 100, 102, 99, 101))

    at = instant(1)
    assert reports[0] == ExecutionReported(
        at=at,
        execution_id="20240305.00001.01",
        ref=ENTRY,
        symbol="MES",
        side=Side.LONG,
        quantity=2,
        price_ticks=100,
    )
    money = 5000 - 2 * FEE
    assert reports[2:5] == [
        CommissionReported(at=at, execution_id="20240305.00001.01", commission_usd=2 * FEE),
        PositionReported(at=at, symbol="MES", quantity=2),
        AccountReported(at=at, equity_usd=money, available_funds_usd=money - 2000),
    ]


def test_a_query_answers_with_money_and_the_whole_truth() -> None:
    exchange = entered(Exchange(settings()))

    account, snapshot = exchange.submit(QueryBroker(cause="test"), instant(2))

    assert account == exchange.account(instant(2))
    assert account.equity_usd == 5000 + Decimal("1.25") - FEE
    assert snapshot == exchange.truth(instant(2))
    assert [(o.ref, o.side, o.kind, o.price_ticks) for o in snapshot.working] == [
        (STOP, Side.SHORT, OrderKind.STOP_MARKET, 94),
        (TARGET, Side.SHORT, OrderKind.LIMIT, 108),
    ]
    assert [(o.ref, o.event.value) for o in snapshot.completed] == [(ENTRY, "filled")]


@pytest.mark.parametrize(
    ("entry", "stop", "target", "quantity", "life_seconds", "reason"),
    [
        (100, 101, 108, 1, 90, "either side"),
        (100, 94, 108, 0, 90, "not positive"),
        (100, 94, 108, 1, 0, "over on arrival"),
        (100, 94, 108, 6, 90, "margin"),
    ],
)
def test_an_impossible_bracket_is_rejected_whole_with_its_reason(
    entry: int, stop: int, target: int, quantity: int, life_seconds: int, reason: str
) -> None:
    exchange = Exchange(settings(margin_usd=1000))

    reports = exchange.submit(
        bracket(entry, stop, target, quantity=quantity, life_seconds=life_seconds), instant(1)
    )

    assert story(reports) == [f"{ref} rejected" for ref in (ENTRY, STOP, TARGET)]
    assert all(reason in report.text for report in reports)  # type: ignore[union-attr]
    assert exchange.is_idle


def test_a_ref_used_before_is_refused_and_the_first_order_lives_on() -> None:
    exchange = entered(Exchange(settings()))
    before = exchange.state()

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        exchange.submit(bracket(100, 94, 108), instant(2))

    assert exchange.state() == before


def test_a_cancel_of_something_that_ended_says_how_it_ended() -> None:
    exchange = entered(Exchange(settings()))

    ended = exchange.submit(cancel(ENTRY), instant(2))
    unknown = exchange.submit(cancel(refs("nobody")[0]), instant(2))

    assert story(ended) == [f"{ENTRY} filled"]
    assert story(unknown) == ["nobody/entry lost_track"]


def test_a_new_day_begins_its_own_executions() -> None:
    exchange = entered(Exchange(settings()))
    tomorrow = 24 * 60

    reports = exchange.on_bar(bar(tomorrow, 100, 101, 93, 95))
    snapshot = exchange.truth(instant(tomorrow + 1))

    assert isinstance(reports[0], ExecutionReported)
    assert reports[0].execution_id == "20240306.00001.01"
    assert [e.ref for e in snapshot.executions] == [STOP]
    assert [o.ref for o in snapshot.completed] == [STOP, TARGET]


def test_an_open_position_is_marked_at_the_last_price() -> None:
    exchange = entered(Exchange(settings()))
    at_cost = 5000 - FEE

    exchange.on_bar(bar(2, 100, 104, 99, 103))
    by_bar = exchange.account(instant(3)).equity_usd
    exchange.on_quote(instant(3.1), 97, 98)
    by_quote = exchange.account(instant(3.1)).equity_usd

    assert by_bar == at_cost + 3 * Decimal("1.25")
    assert by_quote == at_cost - 3 * Decimal("1.25")


def test_the_settings_are_those_of_the_contracts() -> None:
    rules = load_rules("MES")

    made = exchange_settings(rules, Decimal(5000))

    execution = rules.execution
    assert made.instrument is rules.instrument
    assert made.order_latency_ms == execution.order_latency_ms
    assert made.limit_fills_on_touch is execution.limit_fills_on_touch
    assert made.slippage_ticks_max == execution.slippage_ticks_max
    assert made.slippage_ticks == pytest.approx(
        execution.slippage_ticks_per_side + 2 * execution.slippage_unknown_ticks
    )


def test_bars_come_once_and_in_order() -> None:
    exchange = Exchange(settings())
    exchange.on_bar(bar(1, 100, 102, 99, 101))

    with pytest.raises(InputRefused, match="expected a bar closing after"):
        exchange.on_bar(bar(1, 100, 102, 99, 101))
