"""`credence up`: webserver, daemon and one code server on one data home, watched as a unit."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg
import psutil

from engine.errors import InstanceBusy
from pipelines.dagster_home import REPOSITORY, dagster_home_of
from pipelines.heap import ONE_HEAP
from pipelines.instance import (
    end_leftovers,
    end_tree,
    living_workers,
    only_one,
    reap_orphans,
    remember,
)
from pipelines.spared_runs import SparedRuns

HOST: Final = "127.0.0.1"
START_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 20.0
RUN_STOP_SECONDS_MAX: Final = 60.0
"""For a run that is stopped with the desk: a session may take half a minute until it is flat."""

POLL_SECONDS: Final = 0.25
SPARED_SECONDS: Final = 2.0
LOCATION: Final = "credence"
MODULE: Final = "pipelines.definitions"
SOCKET_PATH_BYTES_MAX: Final = 100
"""The operating system refuses a longer name for a socket (108 bytes on Linux, 104 on macOS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the desk's UI and the log it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def run_up(home: Path, *, port: int, say: Callable[[str], None], module: str = MODULE) -> int:
    """Run until interrupted or until a part dies; returns 0 after Ctrl-C or SIGTERM, 3 otherwise.

    `module` has the definitions that are served.

    Raises `InstanceBusy` when the instance is in use or the port is taken.
    """
    dagster_home = dagster_home_of(home)
    with only_one(dagster_home):
        environment = _environment(home, dagster_home)
        spared = SparedRuns(dagster_home=dagster_home, running=_cleared(dagster_home, say))
        _refuse_taken_port(port)  # Only now: what was cleared away may have held it.
        parts: list[Part] = []
        stop = _stop_on_signals()
        try:
            if _start(parts, dagster_home, port, environment, stop, module):
                say(f"Credence is at http://{HOST}:{port}  (data home {home}, Ctrl-C stops it)")
            elif not stop and not _dead(parts):
                say(f"the UI did not answer within {START_SECONDS_MAX:.0f} s; see {parts[0].log}")
                return 3
            return _watch(parts, stop, spared, say)
        finally:
            _stop_all(parts)


def _cleared(dagster_home: Path, say: Callable[[str], None]) -> dict[int, str]:
    """End what an earlier `credence up` left, but not a run that lives: a session trades on.

    Returns those runs, by the id of their process.
    """
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        living = living_workers(instance)
        for leftover in end_leftovers(dagster_home, spared=living):
            say(f"ended the {leftover} that an earlier credence up left running")
        for pid, run in living.items():
            say(f"run {run.run_id[:8]} of {run.job_name} goes on in process {pid}")
        for orphan in reap_orphans(instance):
            say(f"reaped run {orphan.run_id[:8]} of {orphan.job_name}: {orphan.why}")
    return {pid: run.run_id for pid, run in living.items()}


def _environment(home: Path, dagster_home: Path) -> dict[str, str]:
    return os.environ | {
        "CREDENCE_HOME": str(home.resolve()),
        "DAGSTER_HOME": str(dagster_home.resolve()),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "GX_ANALYTICS_ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        **ONE_HEAP,
    }


def _start(
    parts: list[Part],
    dagster_home: Path,
    port: int,
    environment: Mapping[str, str],
    stop: list[int],
    module: str,
) -> bool:
    """Start every part and wait until the UI knows the desk; false when told to stop meanwhile.

    The code server comes first: the others log errors while there is none to ask.
    """
    socket = _socket_of(dagster_home)
    socket.unlink(missing_ok=True)
    workspace = dagster_home / "workspace.yaml"
    server = {"socket": str(socket), "location_name": LOCATION}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    code = ["dagster", "code-server", "start", "--module-name", module]
    ui = ["dagster_webserver", "--host", HOST, "--port", str(port), "-w", str(workspace)]

    def start(name: str, command: list[str]) -> None:
        parts.append(_started(name, command, dagster_home, environment))
        remember(dagster_home, {part.name: part.process.pid for part in parts})

    start("code-server", [*code, "--socket", str(socket), "--location-name", LOCATION])
    if not _comes_to_be(socket.exists, parts, stop):
        return False
    start("webserver", ui)
    start("daemon", ["dagster._daemon", "run", "-w", str(workspace)])
    return _comes_to_be(lambda: _is_serving(port), parts, stop)


def _started(
    name: str, command: list[str], dagster_home: Path, environment: Mapping[str, str]
) -> Part:
    log = dagster_home / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    with log.open("ab") as sink:  # A run that outlived its code server may still write here.
        process = subprocess.Popen(  # noqa: S603 - fixed commands of our own environment
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Part(name=name, process=process, log=log)


def _socket_of(dagster_home: Path) -> Path:
    """Where the code server listens: in the instance, or elsewhere if that path is too long."""
    socket = dagster_home / "code-server.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES_MAX:
        return socket
    return Path(tempfile.mkdtemp(prefix="credence-")) / socket.name


def _comes_to_be(what: Callable[[], bool], parts: list[Part], stop: list[int]) -> bool:
    """Wait for it; false when told to stop, when a part died, or when it takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not stop and not _dead(parts) and time.monotonic() < deadline:
        if what():
            return True
        time.sleep(POLL_SECONDS)
    return False


def _is_serving(port: int) -> bool:
    query = json.dumps(
        {"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"}
    ).encode()
    request = urllib.request.Request(
        f"http://{HOST}:{port}/graphql", data=query, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback only
            return bool(json.load(answer)["data"]["repositoriesOrError"]["nodes"])
    except (OSError, urllib.error.URLError, KeyError, TypeError, ValueError):
        return False


def _watch(
    parts: list[Part], stop: list[int], spared: SparedRuns, say: Callable[[str], None]
) -> int:
    looks_at = time.monotonic()
    while not stop:
        if time.monotonic() >= looks_at:
            for done in spared.look():
                say(done)
            looks_at = time.monotonic() + SPARED_SECONDS
        dead = _dead(parts)
        if dead:
            say(_epitaph(dead))
            return 3
        time.sleep(POLL_SECONDS)
    return 0


def _dead(parts: list[Part]) -> Part | None:
    return next((part for part in parts if part.process.poll() is not None), None)


def _epitaph(part: Part) -> str:
    last = part.log.read_text(errors="replace").strip().splitlines()[-12:]
    return "\n".join(
        [
            f"the {part.name} ended with code {part.process.returncode}; last lines of {part.log}:",
            *last,
        ]
    )


def _stop_on_signals() -> list[int]:
    """What was received of the signals that stop the desk; a terminal that is gone stops nothing.

    A connection that drops is nobody's wish: the session would go on with nobody to watch it.
    """
    received: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _frame: received.append(got))
    return received


def _stop_all(parts: list[Part]) -> None:
    for part in reversed(parts):
        if part.process.poll() is None:
            part.process.send_signal(signal.SIGINT if part.name == "webserver" else signal.SIGTERM)
    for part in parts:
        try:
            part.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            end_tree(psutil.Process(part.process.pid), seconds_max=RUN_STOP_SECONDS_MAX)
            part.process.wait()


def _refuse_taken_port(port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InstanceBusy(
                f"expected port {port} on {HOST} to be free, but {error.strerror}; "
                "choose another with --port"
            ) from error
