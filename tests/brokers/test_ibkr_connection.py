"""What IB does to a connection, done to the adapter over a real socket; also to its login.

One test or more for each row of the table in the specification; the gateway's faults provoke it.
"""

import logging
from dataclasses import replace
from typing import Any

import pytest
from brokers.gateway_bench import QUICK, RULES, bench, eventually, flat_session, parts_of
from exchange_tables import ENTRY, STOP, TARGET, bracket, cancel, flatten, instant
from ibkr_scene import DATA_LOST, DOWN, UP, Scene

from engine.broker import ConnectionReported, ConnectionState
from engine.errors import BrokerMismatch, BrokerTimeout, BrokerUnreachable, ClientIdInUse
from pipelines.brokers.dispatch import take_stock
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.run import running_gateway

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


@pytest.mark.parametrize("loss", ["disconnect", "1100"])
def test_a_question_that_is_refused_while_all_is_read_in_again_is_asked_again(
    at: Scene, loss: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipelines.brokers.ibkr.link")
    at.open()
    at.gateway.fault("2157")

    at.gateway.fault(loss)
    at.until(lambda: at.connections == [DOWN], "the loss is told")
    if loss == "1100":
        at.gateway.fault("1102")
    eventually(lambda: "connecting, attempt 2" in caplog.text, "the first attempt was refused")
    at.gateway.fault("2157", "off")
    at.reconnected()
    at.broker.flatten(flatten())
    at.bench.play(2, 101, 103, 100, 102)
    at.listen()

    assert at.broker.positions() == []


def test_a_question_to_a_connection_that_is_gone_leaves_the_new_one_alone() -> None:
    with bench(patience=replace(QUICK, query_seconds=1.0)) as made:
        at = Scene(made).begun()
        link = at.broker._link
        answers: list[BaseException] = []

        async def never(client: Any) -> None:
            await client.wrapper.startReq("never answered")

        async def ask() -> None:
            try:
                await link.ask(never, "nothing that is answered")
            except BrokerTimeout as error:
                answers.append(error)

        async def drop() -> None:
            link.drop("for a test")

        at.broker._thread.soon(ask())
        at.broker._thread.soon(drop())
        at.reconnected()
        at.until(lambda: bool(answers), "the question is given up")
        at.listen()

        assert at.connections == [DOWN, UP]
        assert at.broker.account().equity_usd == 5000


def test_orders_of_another_account_of_the_login_are_neither_listed_nor_cancelled(
    at: Scene,
) -> None:
    at.place()

    def place_for_another(gateway: Gateway) -> None:
        (order,) = [
            each for each in gateway.venue.books.orders.values() if each.request.order_ref == STOP
        ]
        order.request = replace(order.request, account="DU7777777")

    at.bench.call(place_for_another)

    assert STOP not in at.working()
    assert ENTRY in at.working()


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
