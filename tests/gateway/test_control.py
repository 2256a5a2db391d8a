"""The control port: one object in, one out, and an error is an answer too."""

import asyncio
import json
import socket
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from engine.errors import BrokerUnreachable, InputRefused
from pipelines.gateway.control import CLIENTS_MAX, LINE_BYTES_MAX, ControlPort, ask_gateway


def refuse(_request: Any) -> Any:
    raise InputRefused("not today")


@pytest.fixture
def port() -> Iterator[int]:
    """A control port that echoes and refuses, in a loop and thread of its own."""
    control = ControlPort({"echo": lambda request: {"said": dict(request)}, "refuse": refuse})
    loop = asyncio.new_event_loop()
    is_open = Event()
    ports: list[int] = []

    def serve() -> None:
        ports.append(loop.run_until_complete(control.open(0)))
        is_open.set()
        loop.run_forever()
        loop.run_until_complete(control.close())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = Thread(target=serve)
    thread.start()
    is_open.wait()
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def raw(port: int, *lines: bytes) -> list[dict[str, Any]]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        answers = link.makefile("rb")
        told = []
        for line in lines:
            link.sendall(line)
            told.append(json.loads(answers.readline()))
        return told


def test_a_request_is_answered_with_what_its_verb_says(port: int) -> None:
    assert ask_gateway(port, {"do": "echo", "a": 1}) == {"said": {"a": 1}}


def test_a_refused_request_raises_the_gateways_own_words(port: int) -> None:
    with pytest.raises(InputRefused, match="the gateway refused: not today"):
        ask_gateway(port, {"do": "refuse"})


def test_an_error_is_an_object_and_the_connection_lives_on(port: int) -> None:
    answers = raw(
        port,
        b"{broken\n",
        b"[1]\n",
        b'{"do": "dance"}\n',
        b'{"do": ["echo"]}\n',
        b"[" * 9_000 + b"\n",
        b'{"do": "refuse"}\n',
        b'{"do": "echo"}\n',
    )

    assert [answer["ok"] for answer in answers] == [False] * 6 + [True]
    assert answers[0]["error"] == "expected one JSON object on a line, got b'{broken\\n'"
    assert answers[2]["error"] == "do: 'dance' is none; known are echo, refuse"


def test_a_line_without_end_is_refused_and_costs_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(b"x" * (2 * LINE_BYTES_MAX))
        answers = link.makefile("rb")
        answer = json.loads(answers.readline())

    assert answer == {"ok": False, "error": f"expected a line of at most {LINE_BYTES_MAX} bytes"}
    assert ask_gateway(port, {"do": "echo"}) == {"said": {}}


def test_too_many_connections_are_turned_away_and_the_others_served(port: int) -> None:
    links = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(CLIENTS_MAX)]
    for link in links:
        link.sendall(b'{"do": "echo"}\n')
        assert json.loads(link.makefile("rb").readline())["ok"]

    with pytest.raises(InputRefused, match="expected at most 16 connections"):
        ask_gateway(port, {"do": "echo"})
    links[0].sendall(b'{"do": "echo"}\n')
    assert json.loads(links[0].makefile("rb").readline())["ok"]
    for link in links:
        link.close()


def test_nobody_there_is_the_outside_worlds_fault_and_says_how_to_start_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(BrokerUnreachable, match=f"credence gateway --control-port {port}"):
        ask_gateway(port, {"do": "echo"})
