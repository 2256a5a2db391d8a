"""One bracket on a few hand-written bars at a time: what trades, when, and at what price."""

from datetime import timedelta
from decimal import Decimal

import pytest
from exchange_tables import (
    ENTRY,
    FEE,
    FLAT,
    STOP,
    TARGET,
    bar,
    bracket,
    cancel,
    fills,
    flatten,
    instant,
    move_stop,
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
    PlaceProtection,
    PositionReported,
    QueryBroker,
)
from engine.errors import DuplicateOrderRef, InputRefused
from engine.exchange import Exchange, FaultKind, exchange_settings
from engine.units import OrderRef, Side


def entered(exchange: Exchange, *, quantity: int = 1) -> Exchange:
    """Long from 100 with a stop at 94 and a target at 108, filled at the open of bar 1."""
    exchange.submit(bracket(100, 94, 108, quantity=quantity), instant(1))
    assert fills(exchange.on_bar(bar(1, 100, 102, 99, 101))) == [f"{ENTRY} +{quantity}@100"]
    return exchange


def test_a_bracket_is_accepted_whole_and_its_children_wait() -> None:
    exchange = Exchange(settings())

    reports = exchange.submit(bracket(100, 94, 108), instant(1))

    assert story(reports) == [f"{ref} accepted" for ref in (ENTRY, STOP, TARGET)]
    held = {order.ref: order.is_held for order in exchange.truth(instant(1)).working}
    assert held == {ENTRY: False, STOP: True, TARGET: True}


def test_a_marketable_limit_takes_the_next_open_and_the_target_is_hit_later() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(101, 94, 108), instant(1))

    entry = exchange.on_bar(bar(1, 100, 102, 99, 101))
    target = exchange.on_bar(bar(2, 101, 109, 101, 108))

    assert story(entry) == [
        f"{ENTRY} +1@100",
        f"{ENTRY} filled",
        f"{STOP} accepted",
        f"{TARGET} accepted",
    ]
    assert story(target) == [f"{TARGET} -1@108", f"{TARGET} filled", f"{STOP} cancelled"]
    assert exchange.is_idle
    assert exchange.account(instant(3)).equity_usd == 5000 + 8 * Decimal("1.25") - 2 * FEE


def test_a_stop_is_hit_and_slips_by_the_stated_ticks() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 93, 95, slippage=2))

    assert story(reports) == [f"{STOP} -1@92", f"{STOP} filled", f"{TARGET} cancelled"]
    assert exchange.account(instant(3)).equity_usd == 5000 - 8 * Decimal("1.25") - 2 * FEE


@pytest.mark.parametrize("open_ticks", [95, 107], ids=["stop nearer", "target nearer"])
def test_a_bar_that_holds_both_stop_and_target_stops_out(open_ticks: int) -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, open_ticks, 110, 93, 100))

    assert fills(reports) == [f"{STOP} -1@94"]


def test_a_gap_through_the_stop_fills_at_the_open_which_is_worse() -> None:
    exchange = entered(Exchange(settings(slippage_ticks=1)))

    reports = exchange.on_bar(bar(2, 89, 96, 88, 95))

    assert fills(reports) == [f"{STOP} -1@88"]


def test_a_short_bracket_mirrors_a_long_one() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 106, 92), instant(1))

    entry = exchange.on_bar(bar(1, 100, 101, 98, 99, slippage=1))
    stop = exchange.on_bar(bar(2, 107, 108, 104, 105, slippage=1))

    assert fills(entry) == [f"{ENTRY} -1@100"]
    assert fills(stop) == [f"{STOP} +1@108"]


def test_a_gap_through_a_resting_limit_is_no_gift() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 112, 113, 111, 112))

    assert fills(reports) == [f"{TARGET} -1@108"]


@pytest.mark.parametrize(
    ("on_touch", "high", "expected"),
    [(False, 108, []), (False, 109, [f"{TARGET} -1@108"]), (True, 108, [f"{TARGET} -1@108"])],
)
def test_a_limit_fills_when_traded_through_or_when_touched_by_setting(
    on_touch: bool, high: int, expected: list[str]
) -> None:
    exchange = entered(Exchange(settings(on_touch=on_touch)))

    reports = exchange.on_bar(bar(2, 101, high, 100, 102))

    assert fills(reports) == expected


def test_a_marketable_limit_slips_but_never_beyond_its_limit() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(101, 94, 108, name="a"), instant(1))
    exchange.submit(bracket(104, 94, 108, name="b"), instant(1))

    reports = exchange.on_bar(bar(1, 100, 102, 99, 101, slippage=3))

    assert fills(reports) == [f"{ENTRY} +1@101", "b/entry +1@103"]


def test_an_entry_lives_90_seconds_and_trades_in_no_bar_it_does_not_survive() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=90), instant(1))

    survived = exchange.on_bar(bar(1, 104, 105, 103, 104))
    died_in = exchange.on_bar(bar(2, 104, 105, 90, 95))

    assert story(survived) == []
    assert story(died_in) == [f"{ENTRY} expired", f"{STOP} cancelled", f"{TARGET} cancelled"]
    assert died_in[0].at == instant(2.5)
    assert exchange.is_idle


def test_an_entry_that_ends_with_the_bar_sees_all_of_it() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=120), instant(1))
    exchange.on_bar(bar(1, 104, 105, 103, 104))

    reports = exchange.on_bar(bar(2, 104, 105, 99, 101))

    assert fills(reports) == [f"{ENTRY} +1@100"]


def test_an_entry_whose_life_ends_with_the_bar_has_ended_when_the_bar_has() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108, life_seconds=60), instant(1))

    reports = exchange.on_bar(bar(1, 104, 105, 103, 104))

    assert story(reports)[0] == f"{ENTRY} expired"
    assert exchange.is_idle


def test_time_alone_expires_an_entry() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    early = exchange.advance(instant(2.4))
    late = exchange.advance(instant(2.5))

    assert story(early) == []
    assert story(late)[0] == f"{ENTRY} expired"


def test_a_partial_fill_then_a_cancel_leaves_a_protected_part() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=3), instant(1))
    part = exchange.on_bar(bar(1, 100, 102, 99, 101))
    filled = exchange.truth(instant(2)).positions[0].quantity

    ended = exchange.submit(cancel(ENTRY), instant(2))

    assert story(part)[1] == f"{ENTRY} partially_filled"
    assert filled in (1, 2)
    assert story(ended) == [f"{ENTRY} cancelled"]
    working = exchange.truth(instant(2)).working
    assert [(order.ref, order.quantity) for order in working] == [(STOP, filled), (TARGET, filled)]


def test_children_grow_with_each_part_of_the_entry() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=2, life_seconds=600), instant(1))

    protected = []
    for minute in (1, 2):
        exchange.on_bar(bar(minute, 100, 102, 99, 101))
        protected.append(exchange.truth(instant(minute + 1)).working[-2].quantity)

    assert protected == [1, 2]


def test_one_cancels_all_shrinks_the_stop_by_what_the_target_sold() -> None:
    exchange = entered(Exchange(settings(), seed=4), quantity=2)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    part = exchange.on_bar(bar(2, 101, 109, 101, 102))
    exchange.switch(FaultKind.PARTIAL_FILL, 0.0)

    rest = exchange.on_bar(bar(3, 100, 109, 92, 100))

    assert story(part) == [f"{TARGET} -1@108", f"{TARGET} partially_filled"]
    assert story(rest) == [f"{STOP} -1@94", f"{STOP} filled", f"{TARGET} cancelled"]
    assert exchange.truth(instant(4)).positions == ()


def test_a_stop_that_trades_ends_an_entry_still_filling() -> None:
    exchange = Exchange(settings(), seed=4)
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)
    exchange.submit(bracket(100, 94, 108, quantity=2, life_seconds=600), instant(1))

    reports = exchange.on_bar(bar(1, 100, 102, 93, 95))

    assert fills(reports) == [f"{ENTRY} +1@100", f"{STOP} -1@94"]
    assert story(reports)[-2:] == [f"{ENTRY} cancelled", f"{TARGET} cancelled"]
    assert exchange.is_idle is False  # The fault is still on, and faults need to see every bar.
    assert exchange.truth(instant(2)).working == ()


def test_flatten_cancels_the_working_bracket_and_closes_at_the_next_open() -> None:
    exchange = entered(Exchange(settings(slippage_ticks=1)))

    told = exchange.submit(flatten(), instant(2))
    closed = exchange.on_bar(bar(2, 103, 120, 80, 100))

    assert story(told) == [f"{STOP} cancelled", f"{TARGET} cancelled", f"{FLAT} accepted"]
    assert story(closed) == [f"{FLAT} -1@102", f"{FLAT} filled"]
    assert exchange.is_idle


def test_flatten_while_flat_says_so_and_ends() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.submit(flatten(), instant(1))

    assert story(reports)[-1] == f"{FLAT} cancelled"
    assert PositionReported(at=instant(1), symbol="MES", quantity=0) in reports
    assert exchange.is_idle


def test_a_replaced_stop_trades_at_its_new_price() -> None:
    exchange = entered(Exchange(settings()))

    told = exchange.submit(move_stop(STOP, 100), instant(2))
    reports = exchange.on_bar(bar(2, 102, 103, 99, 101))

    assert story(told) == [f"{STOP} accepted"]
    assert fills(reports) == [f"{STOP} -1@100"]


def test_a_stop_moved_through_the_market_trades_at_the_next_open() -> None:
    exchange = entered(Exchange(settings()))

    exchange.submit(move_stop(STOP, 100), instant(2))
    reports = exchange.on_bar(bar(2, 98, 99, 97, 98))

    assert fills(reports) == [f"{STOP} -1@98"]


def test_a_stop_can_be_hit_in_the_bar_of_the_entry() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.on_bar(bar(1, 103, 104, 93, 94))

    assert fills(reports) == [f"{ENTRY} +1@100", f"{STOP} -1@94"]


def test_what_the_bar_did_before_the_entry_does_not_count() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(100, 94, 108), instant(1))

    reports = exchange.on_bar(bar(1, 106, 109, 99, 101))

    assert fills(reports) == [f"{ENTRY} +1@100"]


def test_an_order_that_arrives_inside_a_bar_sees_only_the_rest_of_it() -> None:
    exchange = Exchange(settings(latency_ms=30_000))
    exchange.submit(bracket(100, 94, 120, life_seconds=600), instant(1))

    reports = exchange.on_bar(bar(1, 98, 110, 90, 109))

    assert fills(reports) == [f"{ENTRY} +1@100"]
    assert reports[0].at == instant(1.5)


def test_a_fill_is_dated_by_the_place_of_its_price_on_the_path() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 91, 95))

    # Open to high in 20 seconds, high to low in the next 20: 94 is 7 of the 10 ticks down.
    assert reports[0].at == instant(2) + timedelta(seconds=34)


def test_a_protection_guards_a_naked_position() -> None:
    exchange = Exchange(settings())
    exchange.open_alien_position(Side.LONG, 1, 100, instant(1))
    stop_ref, target_ref = OrderRef("p/stop"), OrderRef("p/target")

    told = exchange.submit(
        PlaceProtection(
            symbol="MES",
            side=Side.LONG,
            quantity=1,
            stop_ref=stop_ref,
            stop_ticks=95,
            target_ref=target_ref,
            target_ticks=110,
        ),
        instant(1),
    )
    reports = exchange.on_bar(bar(1, 100, 101, 94, 95))

    assert story(told) == ["p/stop accepted", "p/target accepted"]
    assert story(reports) == ["p/stop -1@95", "p/stop filled", "p/target cancelled"]


def test_a_quote_trades_buys_at_the_ask_and_sells_at_the_bid() -> None:
    exchange = Exchange(settings(slippage_ticks=3))
    exchange.submit(bracket(101, 94, 108), instant(1))

    not_yet = exchange.on_quote(instant(1.1), 101, 102)
    entry = exchange.on_quote(instant(1.2), 100, 101)
    stop = exchange.on_quote(instant(1.3), 93, 95)

    assert (fills(not_yet), fills(entry), fills(stop)) == (
        [],
        [f"{ENTRY} +1@101"],
        [f"{STOP} -1@93"],
    )


def test_the_quote_of_a_bar_counts_only_by_setting() -> None:
    for quotes, expected in ((False, []), (True, [f"{ENTRY} +1@100"])):
        exchange = Exchange(settings(quotes=quotes))
        exchange.submit(bracket(100, 94, 108), instant(1))

        reports = exchange.on_bar(bar(1, 103, 104, 101, 101, bid=99, ask=100))

        assert fills(reports) == expected


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


def test_slippage_is_never_more_than_its_maximum() -> None:
    exchange = entered(Exchange(settings()))

    reports = exchange.on_bar(bar(2, 100, 101, 93, 95, slippage=50))

    assert fills(reports) == [f"{STOP} -1@{94 - 6}"]


def test_a_new_day_begins_its_own_executions() -> None:
    exchange = entered(Exchange(settings()))
    tomorrow = 24 * 60

    reports = exchange.on_bar(bar(tomorrow, 100, 101, 93, 95))
    snapshot = exchange.truth(instant(tomorrow + 1))

    assert isinstance(reports[0], ExecutionReported)
    assert reports[0].execution_id == "20240306.00001.01"
    assert [e.ref for e in snapshot.executions] == [STOP]
    assert [o.ref for o in snapshot.completed] == [STOP, TARGET]


def test_a_quote_beyond_both_stop_and_target_stops_out() -> None:
    exchange = entered(Exchange(settings()))
    exchange.submit(move_stop(STOP, 109), instant(2))

    reports = exchange.on_quote(instant(2.1), 108, 109)

    assert story(reports) == [f"{STOP} -1@108", f"{STOP} filled", f"{TARGET} cancelled"]


def test_an_open_position_is_marked_at_the_last_price() -> None:
    exchange = entered(Exchange(settings()))
    at_cost = 5000 - FEE

    exchange.on_bar(bar(2, 100, 104, 99, 103))
    by_bar = exchange.account(instant(3)).equity_usd
    exchange.on_quote(instant(3.1), 97, 98)
    by_quote = exchange.account(instant(3.1)).equity_usd

    assert by_bar == at_cost + 3 * Decimal("1.25")
    assert by_quote == at_cost - 3 * Decimal("1.25")


def test_a_fraction_of_a_tick_is_paid_as_often_as_it_says() -> None:
    paid = []
    for number in range(400):
        exchange = Exchange(settings(slippage_ticks=0.5))
        exchange.submit(bracket(110, 94, 120, name=f"n{number}"), instant(1))
        reports = exchange.on_bar(bar(1, 100, 102, 99, 101))
        paid += [r.price_ticks - 100 for r in reports if isinstance(r, ExecutionReported)]

    assert set(paid) == {0, 1}
    assert sum(paid) == pytest.approx(200, abs=30)


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
