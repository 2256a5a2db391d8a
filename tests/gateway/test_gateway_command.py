"""`credence gateway` as a person and a program call it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_line import credence

from pipelines.commands.exits import Exit
from pipelines.gateway.control import ask_gateway
from pipelines.gateway.hostile import CONTRACT
from pipelines.gateway.wire_client import WireClient

SECONDS_MAX = 60
PLAYED = ("--source", "generator:7", "--session", "2025-01-02")


@contextmanager
def gateway(home: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, on free ports; ended for certain."""
    ports = ("--port", "0", "--control-port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "gateway", *PLAYED, *ports, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CREDENCE_HOME": str(home), "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The one JSON object that says where it listens."""
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return json.loads(text)
    raise AssertionError(process.stderr.read())


async def whole_session(port: int) -> list[int]:
    """Follow the market to its end by asking for the time; the times of the bars told."""
    client = await WireClient.greet(port, "157..176")
    await client.frame()
    client.send(71, 2, 1, "")
    client.send(49, 1)
    await client.frame_of("49")
    client.send(50, 3, 1, *CONTRACT, 5, "TRADES", 0, "")
    client.send(49, 1)
    times: list[int] = []
    while len(times) < 390 * 12:
        fields = await client.frame_of("50")
        times.append(int(fields[3]))
        if times[-1] % 60 == 55:
            client.send(49, 1)
    await client.close()
    return times


def test_a_whole_session_is_played_and_the_command_ends_with_it(tmp_path: Path) -> None:
    with gateway(tmp_path, "--speed", "max", "--json") as process:
        told = announced(process)
        times = asyncio.run(asyncio.wait_for(whole_session(told["port"]), SECONDS_MAX))
        ended = process.wait(SECONDS_MAX)

    assert (told["host"], told["account_id"]) == ("127.0.0.1", "DU1234567")
    assert told["sessions"] == ["2025-01-02"]
    assert times == list(range(1735828200, 1735828200 + 390 * 60, 5))
    assert ended == Exit.DONE


def test_it_says_who_comes_and_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    async def look_in(port: int) -> None:
        client = await WireClient.greet(port, "157..176")
        await client.frame()
        client.send(71, 2, 9, "")
        await client.frame_of("9")
        await client.close()

    with gateway(tmp_path, "--speed", "60") as process:
        first = process.stdout.readline()
        port = int(first.split("127.0.0.1:")[1].split(",")[0])
        asyncio.run(look_in(port))
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        ended = process.wait(SECONDS_MAX)
        errors = process.stderr.read()

    assert first.startswith("Simulated IB Gateway at 127.0.0.1:")
    assert "plays generator:7 of 2025-01-02, 60 times the clock" in lines[0]
    assert lines[1:] == [
        "client 9 (version 176) is connected\n",
        "client 9 (version 176) is gone\n",
    ]
    assert (ended, errors) == (Exit.DONE, "")


def test_faults_are_switched_and_listed_by_command(tmp_path: Path) -> None:
    with gateway(tmp_path, "--json") as process:
        port = str(announced(process)["control_port"])

        switched = credence(tmp_path, "gateway", "fault", "stall-bars", "--control-port", port)
        late = credence(
            tmp_path, "gateway", "fault", "late-ack", "--seconds", "7", "--control-port", port
        )
        listed = credence(tmp_path, "gateway", "faults", "--json", "--control-port", port)
        off = credence(tmp_path, "gateway", "fault", "stall-bars", "off", "--control-port", port)
        status = ask_gateway(int(port), {"do": "status"})
        unknown = credence(tmp_path, "gateway", "fault", "stal-bars", "--control-port", port)

    assert (switched.code, switched.out) == (Exit.DONE, "stall-bars is on\n")
    assert (late.code, off.out) == (Exit.DONE, "stall-bars is off\n")
    on = [each["fault"] for each in listed.json["faults"] if each["is_on"]]
    assert on == ["late-ack", "stall-bars"]
    assert status["faults_on"] == ["late-ack"]
    assert unknown.code == Exit.USAGE
    assert "did you mean stall-bars?" in unknown.err


@pytest.mark.parametrize("which", ["--port", "--control-port"])
def test_a_port_in_use_is_exit_code_3_and_is_named(tmp_path: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"--port": "0", "--control-port": "0", which: port}
        options = [word for pair in ports.items() for word in pair]

        ended = credence(tmp_path, "gateway", *PLAYED, *options)

    assert ended.code == Exit.OUTSIDE
    assert port in ended.err
    assert "choose --port and --control-port" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--session", "2025-01-04"), "2025-01-04 is no session"),
        (("--speed", "fast"), "speed: expected max or a number above 0"),
        (("--faults", "nowhere.yaml"), "nowhere.yaml: expected a file with a plan of faults"),
        (("--source", "teletype:1"), "expected a source, one of generator:SEED"),
    ],
)
def test_what_cannot_be_played_is_wrong_usage(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ended = credence(tmp_path, "gateway", *PLAYED, *options, "--port", "0", "--control-port", "0")

    assert ended.code == Exit.USAGE
    assert said in ended.err


def test_nobody_at_the_control_port_is_exit_code_3(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    ended = credence(tmp_path, "gateway", "fault", "reject", "--control-port", port)

    assert ended.code == Exit.OUTSIDE
    assert f"credence gateway --control-port {port}" in ended.err
