"""Each fault by itself: what is told goes wrong in one known way, what happened stays right."""

import json
from collections.abc import Sequence
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
    settings,
    story,
)

from engine.broker import (
    AccountReported,
    BrokerReport,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    PositionReported,
    QueryBroker,
)
from engine.errors import BrokerTimeout, BrokerUnreachable, InputRefused
from engine.exchange import ALIEN_REF, Exchange, FaultKind, FaultPlan
from engine.units import Side


def faulty(kind: FaultKind, *, seed: int = 7) -> Exchange:
    return Exchange(settings(), seed=seed, faults=FaultPlan(rates={kind: 1.0}))


def opened(exchange: Exchange) -> Exchange:
    """Long one from 100, before any fault is on."""
    exchange.submit(bracket(100, 94, 108), instant(1))
    exchange.on_bar(bar(1, 100, 102, 99, 101))
    return exchange


def connections(reports: Sequence[BrokerReport]) -> list[ConnectionState]:
    return [r.state for r in reports if isinstance(r, ConnectionReported)]


def test_a_delayed_report_comes_later_with_its_own_time() -> None:
    exchange = faulty(FaultKind.DELAYED)

    at_once = exchange.submit(bracket(100, 94, 108), instant(1))
    too_early = exchange.advance(instant(1.3))
    later = exchange.advance(instant(1.4))

    assert at_once == too_early == []
    assert story(later) == [f"{ref} accepted" for ref in (ENTRY, STOP, TARGET)]
    assert {report.at for report in later} == {instant(1)}


def test_a_lost_report_never_comes_but_a_query_knows() -> None:
    exchange = faulty(FaultKind.LOST)
    exchange.submit(bracket(100, 94, 108), instant(1))

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))

    assert heard == []
    assert exchange.query("test", instant(2))[1].positions[0].quantity == 1


def test_a_duplicated_report_comes_twice_and_happened_once() -> None:
    exchange = faulty(FaultKind.DUPLICATED)
    exchange.submit(bracket(100, 94, 108), instant(1))

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))

    assert heard[::2] == heard[1::2]
    assert len({r.execution_id for r in heard if isinstance(r, ExecutionReported)}) == 1
    assert exchange.truth(instant(2)).positions[0].quantity == 1


def test_reordered_reports_are_overtaken_by_later_ones() -> None:
    straight = Exchange(settings(), seed=7)
    bent = Exchange(settings(), seed=7, faults=FaultPlan(rates={FaultKind.REORDERED: 0.4}))
    for exchange in (straight, bent):
        exchange.submit(bracket(100, 94, 108), instant(1))

    expected = straight.on_bar(bar(1, 100, 102, 99, 101))
    heard = bent.on_bar(bar(1, 100, 102, 99, 101))

    assert heard != expected
    assert set(heard) == set(expected)


def test_a_late_commission_is_the_only_thing_late() -> None:
    exchange = faulty(FaultKind.LATE_COMMISSION)
    exchange.submit(bracket(100, 94, 108), instant(1))

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))
    later = exchange.on_bar(bar(2, 101, 102, 99, 101))

    assert fills(heard) == [f"{ENTRY} +1@100"]
    assert not any(isinstance(report, CommissionReported) for report in heard)
    assert [type(report) for report in later] == [CommissionReported]


def test_a_partial_fill_finishes_in_later_bars_lot_by_lot() -> None:
    exchange = faulty(FaultKind.PARTIAL_FILL)
    exchange.submit(bracket(100, 94, 108, quantity=2, life_seconds=600), instant(1))

    heard = [line for n in (1, 2) for line in story(exchange.on_bar(bar(n, 100, 102, 99, 101)))]

    assert heard == [
        f"{ENTRY} +1@100",
        f"{ENTRY} partially_filled",
        f"{STOP} accepted",
        f"{TARGET} accepted",
        f"{ENTRY} +1@100",
        f"{ENTRY} filled",
    ]


def test_a_partly_filled_stop_closes_the_rest_at_market() -> None:
    exchange = Exchange(settings(), seed=7)
    exchange.submit(bracket(100, 94, 108, quantity=2), instant(1))
    exchange.on_bar(bar(1, 100, 102, 99, 101))
    exchange.switch(FaultKind.PARTIAL_FILL, 1.0)

    first = exchange.on_bar(bar(2, 100, 101, 93, 96))
    rest = exchange.on_bar(bar(3, 97, 99, 96, 98))

    assert fills(first) == [f"{STOP} -1@94"]
    assert story(rest) == [f"{STOP} -1@97", f"{STOP} filled", f"{TARGET} cancelled"]


def test_a_reject_refuses_the_whole_bracket() -> None:
    exchange = faulty(FaultKind.REJECT)

    heard = exchange.submit(bracket(100, 94, 108), instant(1))

    assert story(heard) == [f"{ref} rejected" for ref in (ENTRY, STOP, TARGET)]


def test_a_fill_can_come_after_a_cancel_and_is_true() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(98, 94, 108), instant(1))
    exchange.switch(FaultKind.FILL_AFTER_CANCEL, 1.0)

    told = exchange.submit(cancel(ENTRY), instant(1))
    listed = exchange.truth(instant(1)).working
    heard = exchange.on_bar(bar(1, 100, 102, 97, 101))

    assert story(told) == [f"{ENTRY} cancelled", f"{STOP} cancelled", f"{TARGET} cancelled"]
    assert listed == ()
    assert story(heard) == [f"{ENTRY} +1@98", f"{ENTRY} filled"]
    assert exchange.truth(instant(2)).positions[0].quantity == 1


def test_a_cancel_told_too_early_comes_true_after_one_bar() -> None:
    exchange = Exchange(settings())
    exchange.submit(bracket(98, 94, 108, life_seconds=600), instant(1))
    exchange.switch(FaultKind.FILL_AFTER_CANCEL, 1.0)
    exchange.submit(cancel(ENTRY), instant(1))
    exchange.switch(FaultKind.FILL_AFTER_CANCEL, 0.0)

    exchange.on_bar(bar(1, 100, 102, 99, 101))
    heard = exchange.on_bar(bar(2, 100, 102, 90, 101))

    assert heard == []
    assert exchange.is_idle


def test_a_stop_that_fills_after_flatten_turns_the_position_around() -> None:
    exchange = opened(Exchange(settings()))
    exchange.switch(FaultKind.FILL_AFTER_CANCEL, 1.0)
    exchange.submit(flatten(), instant(2))

    heard = exchange.on_bar(bar(2, 100, 101, 93, 95))

    assert fills(heard) == [f"{FLAT} -1@100", f"{STOP} -1@94"]
    assert exchange.truth(instant(3)).positions[0].quantity == -1


def test_a_cancel_never_answered_leaves_the_order_working_until_asked_again() -> None:
    exchange = opened(Exchange(settings()))
    exchange.switch(FaultKind.CANCEL_UNANSWERED, 1.0)

    unanswered = exchange.submit(cancel(STOP), instant(2))
    listed = [order.ref for order in exchange.truth(instant(2)).working]
    exchange.switch(FaultKind.CANCEL_UNANSWERED, 0.0)
    answered = exchange.submit(cancel(STOP), instant(2))

    assert unanswered == []
    assert listed == [STOP, TARGET]
    assert story(answered) == [f"{STOP} cancelled"]


def test_a_position_nobody_opened_shows_up_without_an_order() -> None:
    exchange = faulty(FaultKind.ALIEN_POSITION)

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))

    assert heard == [PositionReported(at=instant(2), symbol="MES", quantity=1)]
    assert [e.ref for e in exchange.truth(instant(2)).executions] == [ALIEN_REF]


def test_a_query_that_times_out_raises_and_never_answers_empty() -> None:
    exchange = opened(faulty(FaultKind.QUERY_TIMEOUT))

    with pytest.raises(BrokerTimeout, match="nothing is known"):
        exchange.submit(QueryBroker(cause="test"), instant(2))


def test_a_disconnect_before_the_send_proves_that_nothing_was_sent() -> None:
    exchange = faulty(FaultKind.DISCONNECT_BEFORE_SEND)

    with pytest.raises(BrokerUnreachable, match="nothing was sent"):
        exchange.submit(bracket(100, 94, 108), instant(1))

    assert connections(exchange.advance(instant(1))) == [ConnectionState.DOWN]
    assert exchange.truth(instant(1)).working == ()


def test_a_disconnect_after_the_send_leaves_the_order_alive_and_unanswered() -> None:
    exchange = faulty(FaultKind.DISCONNECT_AFTER_SEND)

    heard = exchange.submit(bracket(100, 94, 108), instant(1))

    assert story(heard) == []
    assert connections(heard) == [ConnectionState.DOWN]
    assert [order.ref for order in exchange.truth(instant(1)).working] == [ENTRY, STOP, TARGET]


def test_a_disconnect_in_mid_fill_tells_the_fill_and_nothing_that_follows() -> None:
    exchange = faulty(FaultKind.DISCONNECT_MID_FILL)
    exchange.submit(bracket(100, 94, 108), instant(1))

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))

    assert [type(report) for report in heard] == [ExecutionReported, ConnectionReported]
    assert exchange.is_connected is False


def test_an_outage_ends_by_itself_and_what_was_missed_is_not_told_again() -> None:
    exchange = opened(Exchange(settings()))
    exchange.disconnect(instant(2), seconds=90)

    during = exchange.on_bar(bar(2, 100, 101, 93, 95))
    after = exchange.on_bar(bar(3, 95, 96, 94, 95))

    assert connections(during) == [ConnectionState.DOWN]
    assert story(during) == story(after) == []
    assert after == [ConnectionReported(at=instant(3.5), state=ConnectionState.UP)]
    assert exchange.truth(instant(4)).positions == ()


def test_what_happens_after_the_link_is_back_is_told_within_the_same_bar() -> None:
    exchange = opened(Exchange(settings()))
    exchange.disconnect(instant(2), seconds=5)

    heard = exchange.on_bar(bar(2, 100, 101, 93, 95))

    assert connections(heard) == [ConnectionState.DOWN, ConnectionState.UP]
    assert fills(heard) == [f"{STOP} -1@94"]


def test_what_happened_before_the_link_is_back_is_not_told_in_that_bar() -> None:
    exchange = opened(Exchange(settings()))
    exchange.disconnect(instant(2), seconds=50)

    heard = exchange.on_bar(bar(2, 100, 101, 93, 95))

    assert connections(heard) == [ConnectionState.DOWN, ConnectionState.UP]
    assert fills(heard) == []
    assert exchange.truth(instant(3)).positions == ()


def test_a_report_on_its_way_is_lost_when_the_link_breaks() -> None:
    exchange = faulty(FaultKind.DELAYED)
    exchange.submit(bracket(100, 94, 108), instant(1))

    exchange.disconnect(instant(1), seconds=5)
    heard = exchange.advance(instant(2))

    assert connections(heard) == [ConnectionState.DOWN, ConnectionState.UP]
    assert story(heard) == []


def test_an_exchange_with_a_report_on_its_way_is_not_idle() -> None:
    exchange = faulty(FaultKind.DELAYED)
    exchange.submit(bracket(100, 94, 108), instant(1))
    exchange.submit(cancel(ENTRY), instant(1))
    exchange.switch(FaultKind.DELAYED, 0.0)

    waiting = exchange.is_idle
    exchange.on_bar(bar(1, 100, 102, 99, 101))

    assert waiting is False
    assert exchange.is_idle is True


def test_a_link_breaks_without_any_order_and_can_be_restored_by_hand() -> None:
    exchange = faulty(FaultKind.DISCONNECT)

    heard = exchange.on_bar(bar(1, 100, 102, 99, 101))
    restored = exchange.reconnect(instant(2))

    assert connections(heard) == [ConnectionState.DOWN]
    assert connections(restored) == [ConnectionState.UP]
    assert exchange.is_connected


def test_a_raised_margin_is_a_margin_call() -> None:
    exchange = opened(Exchange(settings()))

    exchange.set_margin(Decimal(10_000), instant(2))
    (report,) = exchange.advance(instant(2))

    assert isinstance(report, AccountReported)
    assert report.available_funds_usd == Decimal(-5000) + Decimal("1.25") - FEE


def test_an_exchange_with_faults_wants_to_see_every_bar() -> None:
    exchange = Exchange(settings())
    idle_before = exchange.is_idle

    exchange.switch(FaultKind.DISCONNECT, 0.01)

    assert idle_before is True
    assert exchange.is_idle is False


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(InputRefused, match="from 0 to 1"):
        Exchange(settings(), faults=FaultPlan(rates={FaultKind.LOST: rate}))


def test_a_state_written_by_another_version_is_refused() -> None:
    state = opened(Exchange(settings())).state()
    del state["draws"]

    with pytest.raises(InputRefused, match="another version"):
        Exchange.restore(settings(), json.loads(json.dumps(state)))


def test_a_state_survives_json_to_the_byte() -> None:
    exchange = faulty(FaultKind.DELAYED)
    exchange.submit(bracket(100, 94, 108), instant(1))
    exchange.open_alien_position(Side.SHORT, 2, 99, instant(1))
    text = json.dumps(exchange.state())

    again = json.dumps(Exchange.restore(settings(), json.loads(text)).state())

    assert again == text
