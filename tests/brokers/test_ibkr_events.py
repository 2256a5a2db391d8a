"""Everything that IB does to unattended programs, done to the adapter over a real socket.

One test or more for each row of the table in the specification; the gateway's faults provoke it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import pytest
from brokers.gateway_bench import (
    IMPATIENT,
    QUICK,
    RULES,
    GatewayBench,
    bench,
    eventually,
    flat_session,
    part_at,
    parts_of,
)
from exchange_tables import ENTRY, FLAT, STOP, TARGET, bracket, cancel, flatten, instant, move_stop

from engine.broker import (
    BarReported,
    BrokerReport,
    CommissionReported,
    CompletedOrder,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    FeedReported,
    FeedState,
    MarketReport,
    OrderEvent,
    OrderReported,
    PositionReported,
    QuoteReported,
)
from engine.errors import (
    BrokerMismatch,
    BrokerTimeout,
    BrokerUnreachable,
    ClientIdInUse,
    DuplicateOrderRef,
)
from engine.orders import OrderState
from engine.units import OrderRef
from pipelines.brokers.dispatch import take_stock
from pipelines.brokers.ibkr import IbkrBroker
from pipelines.brokers.ibkr.hours import regular_session
from pipelines.brokers.ibkr.pacing import BURST_PER_CONTRACT, PacingBudget
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.run import running_gateway
from pipelines.gateway.told import ErrorTold

Told = BrokerReport | MarketReport
Kind = TypeVar("Kind")
UP, DOWN, DATA_LOST = ConnectionState.UP, ConnectionState.DOWN, ConnectionState.DATA_LOST


@pytest.fixture
def at() -> Iterator["Scene"]:
    """An adapter connected and subscribed, at the close of the session's first minute."""
    with bench() as made:
        yield Scene(made).begun()


@pytest.fixture
def impatient() -> Iterator["Scene"]:
    """The same, with a third of a second until bars are missed and asked for again."""
    with bench(patience=IMPATIENT) as made:
        yield Scene(made).begun()


class Scene:
    """A bench with everything that was told so far."""

    def __init__(self, made: GatewayBench) -> None:
        self.bench = made
        self.gateway = made.gateway
        self.broker: IbkrBroker = made.broker
        self.heard: list[Told] = []

    def begun(self) -> "Scene":
        self.until(lambda: self.connections == [UP], "the first connection is told")
        self.heard.clear()
        return self

    def listen(self) -> "Scene":
        self.bench.settle()
        self.heard += self.broker.told()
        return self

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Listen until something was told."""

        def heard_and_so() -> bool:
            self.heard += self.broker.told()
            return condition()

        eventually(heard_and_so, what)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [report for report in self.heard if isinstance(report, kind)]

    @property
    def connections(self) -> list[ConnectionState]:
        return [report.state for report in self.of(ConnectionReported)]

    @property
    def feed(self) -> list[FeedState]:
        """States of the feed, without the silence that a hand-moved market has between bars."""
        states = [r.state for r in self.of(FeedReported) if r.state is not FeedState.STALE]
        return [s for n, s in enumerate(states) if n == 0 or states[n - 1] is not s]

    @property
    def bars(self) -> list[BarReported]:
        return self.of(BarReported)

    def events(self, ref: OrderRef) -> list[OrderEvent]:
        return [report.event for report in self.of(OrderReported) if report.ref == ref]

    def place(self, **options: int) -> "Scene":
        self.broker.place_bracket(bracket(options.pop("entry", 100), 94, 108, **options))
        return self.listen()

    def open(self) -> "Scene":
        """Long one from 100."""
        self.place()
        self.bench.play(1, 100, 102, 99, 101)
        return self.listen()

    def working(self) -> set[OrderRef | None]:
        return {order.ref for order in self.broker.open_orders()}

    def at_the_exchange(self) -> int:
        """Orders that work at the gateway, whatever the adapter knows."""
        return int(self.gateway.status()["working_orders"])

    def say(self, ref: OrderRef, code: int, text: str = "words") -> "Scene":
        """Have the gateway tell an error with the id of one of our orders."""

        def say(gateway: Gateway) -> None:
            (order,) = [
                o for o in gateway.venue.books.orders.values() if o.request.order_ref == ref
            ]
            told = ErrorTold(client_id=1, order_id=order.order_id, code=code, text=text)
            gateway.venue.books.outbox.listener(told)

        self.bench.call(say)
        return self.listen()

    def broadcast(self, code: int, text: str) -> "Scene":
        self.bench.call(lambda gateway: gateway.server.broadcast(code, text))
        return self.listen()

    def reconnected(self) -> "Scene":
        before = self.connections.count(UP)
        self.until(lambda: self.connections.count(UP) > before, "the connection is told as up")
        return self


# ── 1100, 1101, 1102: the socket is up, IB is not ───────────────────────────────────────────────


def test_a_cut_behind_an_open_socket_is_told_and_nothing_can_be_sent(at: Scene) -> None:
    at.open()

    at.gateway.fault("1100")
    at.until(lambda: at.connections == [DOWN], "the cut is told")

    for verb in (
        at.broker.account,
        at.broker.open_orders,
        lambda: at.broker.place_bracket(bracket(100, 94, 108, name="b")),
        lambda: at.broker.flatten(flatten()),
        lambda: at.broker.cancel(cancel(STOP)),
    ):
        with pytest.raises(BrokerUnreachable, match="1100"):
            verb()
    assert at.at_the_exchange() == 2


@pytest.mark.parametrize(("code", "told"), [("1101", [DATA_LOST, UP]), ("1102", [UP])])
def test_after_a_cut_everything_is_subscribed_anew_and_told_as_up(
    at: Scene, code: str, told: list[ConnectionState]
) -> None:
    at.gateway.fault("1100")
    at.until(lambda: at.connections == [DOWN], "the cut is told")
    for part in parts_of(1, 100, 102, 99, 101):
        at.bench.tell(part)

    at.gateway.fault(code)
    at.until(lambda: at.connections == [DOWN, *told], "the restoration is told")
    at.listen().bench.play(2, 101, 103, 100, 102)
    at.until(lambda: len(at.bars) == 1, "a minute is told")

    assert [(bar.opens_at, bar.is_backfill) for bar in at.bars] == [(instant(2), False)]
    assert at.broker.account().equity_usd == 5000


def test_a_fill_missed_during_a_cut_is_found_by_asking(at: Scene) -> None:
    at.place()
    at.gateway.fault("1100")
    at.until(lambda: at.connections == [DOWN], "the cut is told")
    for part in parts_of(1, 100, 102, 99, 101):
        at.bench.tell(part)

    at.gateway.fault("1102")
    at.reconnected()
    _, snapshot = take_stock(at.broker, at.broker.now())

    assert [p.quantity for p in snapshot.positions] == [1]
    assert {e.ref for e in snapshot.executions} == {ENTRY}


def test_a_broken_link_to_the_server_is_over_when_a_farm_answers_again(at: Scene) -> None:
    broken = "Connectivity between Trader Workstation and server is broken."
    well = "Market data farm connection is OK:usfuture"
    at.bench.call(lambda gateway: gateway.server.broadcast(2110, broken))
    at.until(lambda: at.connections == [DOWN], "the cut is told")

    at.bench.call(lambda gateway: gateway.server.broadcast(2104, well))
    at.reconnected()

    assert at.connections == [DOWN, UP]


# ── Farms ───────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_data_farm_spoils_the_feed_until_it_is_well(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.gateway.fault("2103")
    at.listen()
    broken = at.feed[-1]

    at.gateway.fault("2103", "off")
    at.listen()

    assert broken is FeedState.BROKEN
    assert at.feed == [FeedState.LIVE, FeedState.BROKEN, FeedState.LIVE]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2107, "HMDS data farm connection is inactive but should be available:ushmds"),
        (2108, "Market data farm connection is inactive but should be available:usfuture"),
        (2105, "HMDS data farm connection is broken:ushmds"),
        (2157, "Sec-def data farm connection is broken:secdefnj"),
    ],
)
def test_an_idle_farm_and_farms_of_other_things_do_not_spoil_the_feed(
    at: Scene, code: int, text: str
) -> None:
    at.bench.play(1, 100, 102, 99, 101)

    at.broadcast(code, text)

    assert at.feed == [FeedState.LIVE]
    assert at.connections == []


# ── The socket ──────────────────────────────────────────────────────────────────────────────────


def test_a_lost_socket_is_mended_and_the_market_comes_again_without_a_gap(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()
    at.gateway.fault("disconnect")
    at.reconnected().listen().bench.play(3, 101, 103, 100, 102)
    at.until(lambda: len(at.bars) == 3, "three minutes are told")

    assert at.connections == [DOWN, UP]
    assert [(bar.opens_at, bar.is_backfill) for bar in at.bars] == [
        (instant(1), False),
        (instant(2), True),
        (instant(3), False),
    ]


def test_the_port_that_the_gateway_gave_up_is_connected_to_anew(at: Scene) -> None:
    at.bench.call(lambda gateway: gateway.server.broadcast(1300, "Socket port has been reset"))
    at.reconnected()

    assert at.connections == [DOWN, UP]
    assert at.broker.account().equity_usd == 5000


def test_nobody_listening_is_said_at_once_and_with_what_to_do() -> None:
    with running_gateway(flat_session(100), RULES, GatewaySettings()) as gateway:
        port = gateway.address.port

    with bench() as made:
        broker = made.made(port=port)
        with pytest.raises(BrokerUnreachable, match=r"check that IB Gateway runs"):
            broker.connect()
        broker.close()


def test_a_gateway_that_starts_again_is_found_again() -> None:
    with running_gateway(flat_session(100), RULES, GatewaySettings()) as gateway:
        port = gateway.address.port
        with bench() as made:
            broker = made.made(port=port)
            broker.connect()
            gateway.leave()
            eventually(lambda: not broker.is_up, "the end of the gateway is noticed")
            with running_gateway(flat_session(100), RULES, GatewaySettings(), port=port):
                eventually(lambda: broker.is_up, "the new gateway is found")
                assert broker.account().equity_usd == 10_000
            broker.close()


def test_a_frozen_gateway_is_noticed_although_its_socket_is_open(at: Scene) -> None:
    at.open()
    at.gateway.fault("freeze")
    at.until(lambda: at.connections == [DOWN], "the silence is noticed")

    with pytest.raises(BrokerUnreachable):
        at.broker.positions()
    at.gateway.fault("freeze", "off")
    at.reconnected()

    assert [p.quantity for p in at.broker.positions()] == [1]


def test_a_question_that_is_not_answered_is_an_error_and_not_an_empty_answer() -> None:
    with bench(patience=replace(QUICK, silence_seconds=60.0, query_seconds=0.3)) as made:
        scene = Scene(made).open()
        made.gateway.fault("freeze")

        with pytest.raises(BrokerTimeout, match="no answer about open orders"):
            made.broker.open_orders()

        scene.until(lambda: scene.connections[-1] is DOWN, "the connection is not trusted any more")
        made.gateway.fault("freeze", "off")
        scene.reconnected()
        assert scene.working() == {STOP, TARGET}


def test_mending_tries_again_and_again_with_bounded_waits(at: Scene) -> None:
    at.bench.lose_connection()
    attempts = len(at.bench.call(lambda gateway: gateway.server.client_ids))

    at.bench.restore_connection()
    at.reconnected()

    assert attempts == 0
    assert at.connections == [DOWN, UP]


def test_mending_that_is_given_up_is_told_with_its_reason() -> None:
    with bench(patience=replace(QUICK, give_up_seconds=0.3)) as made:
        scene = Scene(made).listen()

        made.lose_connection()
        scene.until(
            lambda: any("given up" in r.text for r in scene.of(ConnectionReported)),
            "that mending is given up",
        )

        with pytest.raises(BrokerUnreachable, match="given up"):
            made.broker.account()


# ── 326: the client id ──────────────────────────────────────────────────────────────────────────


def test_a_client_id_in_use_is_waited_for_and_then_said_and_never_changed(at: Scene) -> None:
    second = at.bench.made(patience=replace(QUICK, busy_client_seconds=0.5))

    with pytest.raises(ClientIdInUse, match=r"client id 1 is in use \(326\)"):
        second.connect()
    second.close()

    assert at.gateway.status()["clients"] == [1]


def test_a_stale_session_that_ends_in_time_lets_us_in(at: Scene) -> None:
    at.open()
    second = at.bench.made()
    at.gateway.fault("326")
    at.broker.close()

    def free(gateway: Gateway) -> None:
        gateway.venue.switches.client_id_in_use = False

    at.bench.call(
        lambda gateway: __import__("asyncio").get_running_loop().call_later(0.4, free, gateway)
    )
    second.connect()

    assert {order.ref for order in second.open_orders()} == {STOP, TARGET}
    second.close()


# ── 10197, 354, 10167: data that may not be traded on ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("10197", FeedState.COMPETING),
        ("354", FeedState.BROKEN),
        ("delayed-data", FeedState.DELAYED),
    ],
)
def test_data_that_may_not_be_traded_on_is_told_until_it_is_live_again(
    impatient: Scene, fault: str, state: FeedState
) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()
    at.gateway.fault(fault)
    at.bench.quote(99, 100)
    for part in parts_of(2, 100, 102, 99, 101):
        at.bench.tell(part)
    at.until(lambda: at.feed[-1:] == [state], "the state of the feed is told")

    at.gateway.fault(fault, "off")
    number = iter(range(36, 4000))
    at.until(
        lambda: at.bench.tell(part_at(next(number))) or at.feed[-1] is FeedState.LIVE,
        "the feed is live again",
    )

    assert at.feed[0] is FeedState.LIVE
    assert at.feed[-2:] == [state, FeedState.LIVE]


def test_delayed_bars_never_become_minutes(at: Scene) -> None:
    at.gateway.fault("delayed-data")
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert at.bars == []


# ── History and its pace ────────────────────────────────────────────────────────────────────────


def test_old_bars_are_minutes_with_their_trades_and_without_quotes(at: Scene) -> None:
    bars = at.broker.bars("MES", instant(0))

    assert [(b.opens_at, b.open, b.volume, b.trades, b.is_backfill) for b in bars] == [
        (instant(0), 25.0, 600, 300, True)
    ]
    assert (bars[0].bid, bars[0].ask) == (None, None)


def test_the_same_question_is_not_asked_twice_within_fifteen_seconds(at: Scene) -> None:
    at.bench.call(lambda gateway: setattr(gateway.venue.switches, "enforces_pacing", True))
    at.broker.bars("MES", instant(0))

    with pytest.raises(BrokerTimeout, match="allows the next question for old bars in 1"):
        at.broker.bars("MES", instant(0))


def test_a_pace_that_the_broker_refuses_is_waited_out_within_the_bound(at: Scene) -> None:
    at.bench.call(lambda gateway: setattr(gateway.venue.switches, "enforces_pacing", True))
    at.broker.bars("MES", instant(0))
    at.broker._history._budget = PacingBudget()  # As after a restart, which forgets what it asked.

    with pytest.raises(BrokerTimeout, match="allows the next question for old bars in 15 s"):
        at.broker.bars("MES", instant(0))


def test_a_broker_that_has_no_bars_is_believed(at: Scene) -> None:
    assert at.broker.bars("MES", at.broker.now()) == []


def test_old_bars_of_another_instrument_are_refused(at: Scene) -> None:
    with pytest.raises(BrokerMismatch, match="expected MES, the desk's instrument, got ES"):
        at.broker.bars("ES", instant(0))


# ── Orders that are refused, doubted, or live in spite of a warning ─────────────────────────────


def test_a_reject_is_told_with_code_and_reason(at: Scene) -> None:
    at.gateway.fault("reject")
    at.place()

    assert [at.events(ref) for ref in (ENTRY, STOP, TARGET)] == [[OrderEvent.REJECTED]] * 3
    assert at.of(OrderReported)[0].text.startswith("201: ")


def test_a_read_only_gateway_refuses_orders_by_name(at: Scene) -> None:
    at.gateway.fault("read-only")
    at.place()

    assert at.events(ENTRY) == [OrderEvent.REJECTED]
    assert at.of(OrderReported)[0].text.startswith("321: ")


def test_a_read_only_gateway_does_not_end_what_it_will_not_cancel(at: Scene) -> None:
    at.open()
    at.gateway.fault("read-only")

    at.broker.cancel(cancel(STOP))
    at.listen()

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK]
    assert at.working() == {STOP, TARGET}


@pytest.mark.parametrize("code", [399, 404, 10349])
def test_an_order_with_a_warning_lives(at: Scene, code: int) -> None:
    at.gateway.fault("warning", code=code)
    at.place()

    assert at.events(ENTRY) == [OrderEvent.ACCEPTED]
    assert at.working() == {ENTRY, STOP, TARGET}


@pytest.mark.parametrize("code", [103, 104, 105, 110, 161, 321, 354, 387, 10147, 10197, 10311])
def test_a_code_that_the_library_takes_for_an_end_ends_nothing(at: Scene, code: int) -> None:
    at.open()

    at.say(STOP, code)

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK]
    assert at.working() == {STOP, TARGET}


def test_an_order_in_doubt_is_found_again_by_asking_and_can_still_be_moved(at: Scene) -> None:
    at.open()
    at.say(STOP, 10311)

    at.working()
    at.broker.replace(move_stop(STOP, 97))
    at.listen()

    assert at.events(STOP) == [OrderEvent.ACCEPTED, OrderEvent.LOST_TRACK, OrderEvent.ACCEPTED]
    assert {o.ref: o.price_ticks for o in at.broker.open_orders()} == {STOP: 97, TARGET: 108}


def test_moving_or_cancelling_what_nobody_knows_makes_the_desk_ask(at: Scene) -> None:
    at.broker.replace(move_stop(STOP, 97))
    at.broker.cancel(cancel(TARGET))
    at.listen()

    assert at.events(STOP) == [OrderEvent.LOST_TRACK]
    assert at.events(TARGET) == [OrderEvent.LOST_TRACK]


# ── Sends whose end nobody heard ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "working"),
    [("disconnect-before-send", 0), ("disconnect-after-send", 3)],
)
def test_a_send_cut_by_the_connection_is_lost_and_then_known_by_asking(
    at: Scene, fault: str, working: int
) -> None:
    at.gateway.fault(fault)
    at.broker.place_bracket(bracket(100, 94, 108))
    at.until(lambda: DOWN in at.connections, "the lost connection is told")
    at.reconnected()

    assert at.events(ENTRY) == [OrderEvent.LOST_TRACK]
    assert len(at.working()) == working
    assert at.at_the_exchange() == working


def test_what_was_sent_before_a_cut_is_never_sent_again(at: Scene) -> None:
    at.gateway.fault("disconnect-after-send")
    at.broker.place_bracket(bracket(100, 94, 108))
    at.until(lambda: DOWN in at.connections, "the lost connection is told")
    at.reconnected()

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        at.broker.place_bracket(bracket(100, 94, 108))
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert [e.ref for e in at.of(ExecutionReported)] == [ENTRY]


def test_a_fill_that_cuts_the_connection_is_in_the_executions_afterwards(at: Scene) -> None:
    at.place()
    at.gateway.fault("disconnect-mid-fill")
    at.bench.play(1, 100, 102, 99, 101)
    at.reconnected()
    told = [*at.of(ExecutionReported), *at.of(PositionReported)]
    _, snapshot = take_stock(at.broker, at.broker.now())

    assert told == []
    assert [e.ref for e in snapshot.executions] == [ENTRY]
    assert CompletedOrder(ref=ENTRY, event=OrderEvent.FILLED) in snapshot.completed
    assert [p.quantity for p in snapshot.positions] == [1]


def test_a_new_process_knows_the_orders_of_the_last_one_by_their_refs(at: Scene) -> None:
    at.open()
    at.broker.close()
    at.broker = at.bench.broker = at.bench.made()
    at.broker.connect()
    at.heard.clear()

    with pytest.raises(DuplicateOrderRef, match=ENTRY):
        at.broker.place_bracket(bracket(100, 94, 108))
    at.broker.replace(move_stop(STOP, 98))
    at.broker.cancel(cancel(TARGET))
    at.listen()
    moved = {order.ref: order.price_ticks for order in at.broker.open_orders()}
    at.bench.play(2, 100, 101, 97, 98)
    at.listen()

    assert moved == {STOP: 98}
    assert at.events(STOP)[-1] is OrderEvent.FILLED
    assert [e.price_ticks for e in at.of(ExecutionReported)] == [98]


# ── Bars that stop ──────────────────────────────────────────────────────────────────────────────


def test_bars_that_stop_are_noticed_asked_for_again_and_filled_in(impatient: Scene) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()
    at.gateway.fault("stall-bars")
    for minute in (2, 3):
        for part in parts_of(minute, 101, 103, 100, 102):
            at.bench.tell(part)
    stale = [FeedState.LIVE, FeedState.STALE]
    at.until(lambda: [r.state for r in at.of(FeedReported)] == stale, "the silence is told")

    at.gateway.fault("stall-bars", "off")
    at.bench.play(4, 102, 104, 101, 103)
    at.until(lambda: len(at.bars) == 4, "four minutes are told")

    assert [bar.opens_at for bar in at.bars] == [instant(n) for n in (1, 2, 3, 4)]
    assert all(bar.is_backfill for bar in at.bars[1:3])
    assert at.of(FeedReported)[-1].state is FeedState.LIVE


def test_a_minute_that_must_be_asked_for_is_told_before_those_after_it(at: Scene) -> None:
    for n in range(BURST_PER_CONTRACT):  # So the question has to wait for its turn.
        contract = at.broker.contract
        assert contract is not None
        at.broker._history._budget.spend(str(contract.con_id), f"earlier {n}", time.monotonic())
    for part in parts_of(1, 100, 102, 99, 101)[:-1]:
        at.bench.tell(part)

    at.bench.play(2, 101, 103, 100, 102)
    at.bench.play(3, 101, 103, 100, 102)
    before = [bar.opens_at for bar in at.listen().bars]
    at.until(lambda: len(at.bars) == 3, "three minutes are told")

    assert before == []
    assert [(bar.opens_at, bar.is_backfill) for bar in at.bars] == [
        (instant(1), True),
        (instant(2), False),
        (instant(3), False),
    ]


def test_a_dead_subscription_is_asked_for_again_until_bars_come(impatient: Scene) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    def drop(gateway: Gateway) -> None:
        for client in gateway.server._clients.values():
            client.feeds.clear()

    at.bench.call(drop)
    number = iter(range(24, 4000))
    at.until(
        lambda: at.bench.tell(part_at(next(number))) or len(at.bars) >= 3,
        "minutes are told again",
    )

    minutes = [bar.opens_at for bar in at.bars]
    assert minutes == [instant(n) for n in range(1, 1 + len(minutes))]


def test_no_silence_is_told_while_the_market_is_closed() -> None:
    with bench(patience=IMPATIENT) as made:
        made.jump(instant(391))
        made.tell(part_at(12 * 391))
        scene = Scene(made).listen()
        scene.heard.clear()

        for _ in range(5):
            made.broker._market.look()

        assert scene.listen().of(FeedReported) == []


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2025, 3, 7), (14, 30), (21, 0)),
        (date(2025, 3, 10), (13, 30), (20, 0)),
        (date(2025, 10, 31), (13, 30), (20, 0)),
        (date(2025, 11, 3), (14, 30), (21, 0)),
        (date(2024, 7, 3), (13, 30), (17, 0)),
    ],
)
def test_the_calendar_says_when_bars_are_due(
    day: date, opens: tuple[int, int], closes: tuple[int, int]
) -> None:
    first = datetime(day.year, day.month, day.day, *opens, tzinfo=UTC)
    end = datetime(day.year, day.month, day.day, *closes, tzinfo=UTC)
    moment = timedelta(seconds=1)

    rules = RULES.session
    assert regular_session(first, rules) is not None
    assert regular_session(end - moment, rules) is not None
    assert regular_session(first - moment, rules) is None
    assert regular_session(end, rules) is None


def test_no_bars_are_due_on_a_day_without_a_session() -> None:
    saturday = datetime(2025, 3, 8, 15, 0, tzinfo=UTC)
    christmas = datetime(2024, 12, 25, 16, 0, tzinfo=UTC)

    assert regular_session(saturday, RULES.session) is None
    assert regular_session(christmas, RULES.session) is None


# ── Statuses, executions and commissions out of order ───────────────────────────────────────────


def test_partial_fills_are_told_one_by_one_and_make_the_whole(at: Scene) -> None:
    at.gateway.fault("partial", rate=1.0)
    at.place(quantity=2)
    at.bench.tell(parts_of(1, 100, 100, 95, 95)[0])
    (left,) = [o.quantity for o in at.broker.open_orders() if o.ref == ENTRY]
    at.bench.play(2, 100, 102, 95, 101)
    at.listen()

    assert left == 1
    entries = [e for e in at.of(ExecutionReported) if e.ref == ENTRY]
    assert [e.quantity for e in entries] == [1, 1]
    assert at.events(ENTRY) == [
        OrderEvent.ACCEPTED,
        OrderEvent.PARTIALLY_FILLED,
        OrderEvent.FILLED,
    ]


def test_a_status_told_twice_is_told_once(at: Scene) -> None:
    at.gateway.fault("dup-status")
    at.open()

    assert at.events(ENTRY) == [OrderEvent.ACCEPTED, OrderEvent.FILLED]
    assert len(at.of(ExecutionReported)) == 1


def test_fills_are_told_although_every_status_is_lost(at: Scene) -> None:
    at.gateway.fault("lost-status")
    at.open()

    assert at.events(ENTRY)[-1] is OrderEvent.FILLED
    assert [p.quantity for p in at.of(PositionReported)] == [1]


def test_an_answer_that_comes_late_changes_nothing_but_the_time(at: Scene) -> None:
    at.gateway.fault("late-ack", seconds=30)
    at.place(entry=97)
    early = at.events(ENTRY)
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert early == []
    assert at.events(ENTRY) == [OrderEvent.ACCEPTED]


def test_a_commission_that_comes_late_is_told_when_it_comes(at: Scene) -> None:
    at.gateway.fault("no-commission")
    at.open()
    before = at.of(CommissionReported)

    at.gateway.fault("no-commission", "off")
    at.bench.play(2, 101, 102, 100, 101)
    at.listen()

    (execution,) = at.of(ExecutionReported)
    assert before == []
    assert [c.execution_id for c in at.of(CommissionReported)] == [execution.execution_id]


def test_a_fill_after_a_cancel_is_told_because_the_exchange_is_right(at: Scene) -> None:
    at.gateway.fault("fill-after-cancel", rate=1.0)
    at.place()
    at.broker.cancel(cancel(ENTRY))
    at.listen()
    ended = at.events(ENTRY)[-1]
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert ended is OrderEvent.CANCELLED
    assert at.events(ENTRY)[-1] is OrderEvent.FILLED
    assert [e.ref for e in at.of(ExecutionReported)] == [ENTRY]


def test_an_order_we_took_for_ended_is_cancelled_when_the_desk_asks_for_it(at: Scene) -> None:
    at.place(entry=97)
    at.broker._orders.by_ref[ENTRY].state = OrderState.REJECTED

    at.broker.cancel(cancel(ENTRY))
    at.listen()

    assert at.at_the_exchange() == 0


def test_a_cancel_that_is_never_answered_leaves_the_order_working_and_can_be_asked_again(
    at: Scene,
) -> None:
    at.place(entry=97)
    at.gateway.fault("cancel-unanswered")
    at.broker.cancel(cancel(ENTRY))
    at.listen()
    unanswered, working = at.events(ENTRY), at.working()

    at.gateway.fault("cancel-unanswered", "off")
    at.broker.cancel(cancel(ENTRY))
    at.listen()

    assert unanswered == [OrderEvent.ACCEPTED]
    assert working == {ENTRY, STOP, TARGET}
    assert at.events(ENTRY) == [OrderEvent.ACCEPTED, OrderEvent.CANCELLED]


def test_executions_of_an_earlier_day_are_gone_and_the_position_is_not(at: Scene) -> None:
    at.open()
    at.bench.jump(instant(24 * 60 + 5))
    yesterday = instant(0)

    assert list(at.broker.executions(yesterday)) == []
    assert [p.quantity for p in at.broker.positions()] == [1]


# ── By another hand ─────────────────────────────────────────────────────────────────────────────


def test_a_position_that_somebody_else_opened_is_told(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.gateway.fault("foreign-position", quantity=2)
    at.listen()

    assert [p.quantity for p in at.of(PositionReported)] == [2]
    assert [p.quantity for p in at.broker.positions()] == [2]


def test_an_order_that_somebody_else_placed_is_listed_without_a_ref() -> None:
    with bench(price_ticks=20_000) as made:
        made.play(1, 20_000, 20_002, 19_999, 20_001)
        made.gateway.fault("unknown-order")

        (listed,) = made.broker.open_orders()

    assert listed.ref is None
    assert listed.symbol == "MES"


def test_flatten_ends_the_orders_and_the_position_of_another_hand_too() -> None:
    with bench(price_ticks=20_000) as made:
        at = Scene(made)
        at.broker.place_bracket(bracket(20_000, 19_994, 20_008))
        at.bench.play(1, 20_000, 20_002, 19_999, 20_001)
        at.gateway.fault("foreign-position", quantity=2)
        at.gateway.fault("unknown-order")
        before = at.listen().at_the_exchange()

        at.broker.flatten(flatten())
        at.bench.play(2, 20_001, 20_002, 20_000, 20_001)
        at.listen()

        assert before == 3
        assert [e.quantity for e in at.of(ExecutionReported) if e.ref == FLAT] == [3]
        assert list(at.broker.positions()) == []
        assert at.at_the_exchange() == 0


def test_a_margin_call_is_seen_in_the_funds(at: Scene) -> None:
    at.open()
    at.gateway.fault("margin-call")

    funds = at.broker.account().available_funds_usd

    assert funds is not None
    assert funds < 0


# ── The account ─────────────────────────────────────────────────────────────────────────────────


def test_an_account_that_is_not_a_paper_one_is_refused_on_paper() -> None:
    settings = GatewaySettings(account_id="U7654321")
    with running_gateway(flat_session(100), RULES, settings) as gateway, bench() as made:
        paper = made.made(port=gateway.address.port)
        with pytest.raises(BrokerMismatch, match=r"expected a paper account \(DU…\), got U7654321"):
            paper.connect()
        live = made.made(port=gateway.address.port, wants_paper=False)
        live.connect()
        account = live.account_id
        for broker in (paper, live):
            broker.close()

    assert account == "U7654321"


def test_an_account_that_the_login_does_not_have_is_refused(at: Scene) -> None:
    other = at.bench.made(client_id=2, account="DU0000001")

    with pytest.raises(BrokerMismatch, match="expected DU0000001, the login has DU1234567"):
        other.connect()
    other.close()


# ── Time and quotes ─────────────────────────────────────────────────────────────────────────────


def test_quotes_are_told_when_they_change_and_stand_in_the_minute_they_close(at: Scene) -> None:
    at.bench.quote(99, 101)
    at.bench.quote(None, 102)
    at.listen()
    at.bench.quote(100, 101)
    at.bench.play(1, 100, 102, 99, 101)
    at.until(lambda: len(at.bars) == 1, "a minute is told")

    quotes = [(q.bid, q.ask) for q in at.of(QuoteReported)]
    assert (None, 25.5) in quotes
    assert quotes[-1] == (25.0, 25.25)
    assert (at.bars[0].bid, at.bars[0].ask) == (25.0, 25.25)


def test_time_is_the_markets_and_comes_with_what_is_told(at: Scene) -> None:
    before = at.broker.now()
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert before == instant(1)
    assert at.broker.now() == instant(2)
    assert [bar.at for bar in at.bars] == [instant(2)]
