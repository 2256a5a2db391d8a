"""Measured: kills, by their file and by the command, and the way back after a SIGKILL."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Final

from engine.desk import OperatorVerb
from engine.errors import CredenceError
from engine.trade import ExitKind
from pipelines.live_stage import PATIENCE_SECONDS, Hear, LiveStage, Numbers, spread, to_nobody
from pipelines.session.asking import ask_session
from pipelines.session.files import SessionFiles
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.inbox import LeverInbox, Outcome
from pipelines.settings import PREFIX
from pipelines.storage import ParquetStore
from pipelines.timed_gateway import GatewayProcess, TimedGateway

FILLED: Final = "filled: "
LOOK_SECONDS: Final = 0.01
MINUTE_A_SECOND: Final = 60.0
"""Speed of a market in which a position stays open for a while; at full speed it may be over."""


def measure_kills(folder: Path, kills: int) -> Numbers:
    """Milliseconds from the kill's file to the broker's word that it is flat, a position open."""
    stage = LiveStage.stored(folder)
    day, milliseconds = stage.first_to_enter(), list[float]()
    with (
        TemporaryDirectory(dir=folder) as home,
        closing(GatewayProcess(stage.market.bars)) as gateways,
    ):
        history = stage.history(Path(home), day)
        for number in range(kills):
            with gateways.playing(day) as gateway:
                milliseconds.append(
                    _killed_ms(stage, history, Path(home) / str(number), day, gateway)
                )
    return {**spread(milliseconds, "kill_ms"), "kills": len(milliseconds)}


def _killed_ms(
    stage: LiveStage, history: ParquetStore, home: Path, day: date, gateway: TimedGateway
) -> float:
    is_filled, files = Event(), SessionFiles(home=home)
    run = stage.run(history, home, day, gateway.port, _once(FILLED, is_filled))
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(run.run)
        _await(is_filled)
        gateway.slow_down(MINUTE_A_SECOND)
        started = perf_counter()
        command = LeverInbox(files.levers).put(OperatorVerb.KILL, by="bench", reason="measured")
        answer = ask_session(files, command, say=to_nobody)
        milliseconds = 1_000 * (perf_counter() - started)
        run.stop()
        exits = ended.result().exits
    if answer is None or answer.outcome is not Outcome.FLAT or not exits[ExitKind.KILL]:
        raise CredenceError(f"expected a kill of an open position, got {answer} and {exits}")
    return milliseconds


def measure_kill_command(folder: Path, kills: int) -> Numbers:
    """Seconds of a whole `credence kill` at a shell, with a session alive and a position open."""
    stage = LiveStage.stored(folder)
    day, seconds = stage.first_to_enter(), []
    with closing(GatewayProcess(stage.market.bars)) as gateways:
        for _ in range(kills):
            with (
                TemporaryDirectory(dir=folder) as home,
                gateways.playing(day) as gateway,
                _filled_session(stage, Path(home), day, gateway, speed=MINUTE_A_SECOND),
            ):
                started = perf_counter()
                done = subprocess.run(  # noqa: S603 - our own program
                    _credence("kill", "--reason", "measured"),
                    env=_environment(Path(home)),
                    capture_output=True,
                    timeout=PATIENCE_SECONDS,
                    check=False,
                )
                seconds.append(perf_counter() - started)
                if done.returncode:
                    raise CredenceError(f"credence kill: {done.stderr.decode(errors='replace')}")
    return {"seconds": median(seconds)}


def measure_crashes(folder: Path, crashes: int) -> Numbers:
    """Seconds from the start of `credence session` after a SIGKILL until it says that it runs.

    It says so once it has compared itself with the broker, caught up with the bars and gone round
    its loop. A position is open at the first.
    """
    stage = LiveStage.stored(folder)
    day, seconds = stage.first_to_enter(), []
    with (
        TemporaryDirectory(dir=folder) as home,
        closing(GatewayProcess(stage.market.bars)) as gateways,
        gateways.playing(day) as gateway,
        ExitStack() as sessions,
    ):
        session = sessions.enter_context(
            _filled_session(stage, Path(home), day, gateway, speed=1.0)
        )
        for _ in range(crashes):
            session.kill()
            session.wait()
            started = perf_counter()
            session = sessions.enter_context(_session_of(Path(home), day, gateway.port, Event()))
            _await_running(Path(home), session)
            seconds.append(perf_counter() - started)
    return {"seconds": median(seconds), "seconds_max": max(seconds)}


# ── Sessions of the command line ────────────────────────────────────────────────────────────────


@contextmanager
def _filled_session(
    stage: LiveStage, home: Path, day: date, gateway: TimedGateway, *, speed: float
) -> Iterator[subprocess.Popen[str]]:
    """A `credence session` that has just got a position, in a market that now goes slowly."""
    stage.history(home, day)
    is_filled = Event()
    with _session_of(home, day, gateway.port, is_filled) as session:
        _await(is_filled)
        gateway.slow_down(speed)
        yield session


@contextmanager
def _session_of(
    home: Path, day: date, port: int, is_filled: Event
) -> Iterator[subprocess.Popen[str]]:
    """A `credence session`, ended with the block."""
    arguments = ("session", "--mode", "paper", "--port", str(port), "--date", day.isoformat())
    session = subprocess.Popen(  # noqa: S603 - our own program
        _credence(*arguments), env=_environment(home), stdout=subprocess.PIPE, text=True
    )
    listener = Thread(target=_listen, args=(session, _once(FILLED, is_filled)))
    listener.start()
    try:
        yield session
    finally:
        session.kill()
        session.wait()
        listener.join()


def _listen(session: subprocess.Popen[str], hear: Hear) -> None:
    assert session.stdout is not None  # noqa: S101 - It was asked for.
    with session.stdout as lines:
        for line in lines:
            hear(line)


def _await_running(home: Path, session: subprocess.Popen[str]) -> None:
    deadline, path = perf_counter() + PATIENCE_SECONDS, SessionFiles(home=home).heartbeat
    while perf_counter() < deadline and session.poll() is None:
        beat = Heartbeat.read(path)
        if beat is not None and (beat.pid, beat.run) == (session.pid, RunState.RUNNING):
            return
        sleep(LOOK_SECONDS)
    raise CredenceError(f"expected the session of {home} to run, it ended with {session.poll()}")


def _credence(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *arguments]


def _environment(home: Path) -> Mapping[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {"CREDENCE_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def _once(words: str, event: Event) -> Hear:
    """A listener that sets an event when a line has these words."""
    return lambda line: event.set() if words in line else None


def _await(event: Event) -> None:
    if not event.wait(PATIENCE_SECONDS):
        raise CredenceError(f"expected a session to get a position in {PATIENCE_SECONDS:g} s")
