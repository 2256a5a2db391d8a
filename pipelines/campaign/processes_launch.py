"""Who launches a session's process: the sensor's own verdict, with no Dagster around it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final, Protocol

import psutil

from contracts.calendar import session_on
from engine.desk import Mode
from engine.errors import CredenceError
from engine.kill import KillSwitch
from engine.rules import Rules
from pipelines.dagster_home import REPOSITORY
from pipelines.journal_store import JournalReader
from pipelines.session.files import SessionFiles
from pipelines.session.kill_switch import kill_switch_of
from pipelines.session.lock import holder_text, is_held
from pipelines.session.process import read_json
from pipelines.session_request import Ending, Green, Request, session_request
from pipelines.settings import PREFIX

LOOK_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 900.0
"""Longer than anything that is waited for may take on a machine that is shared."""


class NotRelaunched(CredenceError):
    """The sensor did not ask for another attempt, and said why."""


class Launcher(Protocol):
    """Has a session run, and runs it again when its process is gone."""

    @property
    def name(self) -> str: ...
    def launch(self) -> None: ...
    def cut_power(self) -> None:
        """End everything of the desk at once."""

    def launched_at(self) -> float:
        """When the sensor's tick began that launched the newest process; wall time."""

    def attempts(self) -> int:
        """How often the session was launched."""

    def has_ended(self) -> bool:
        """Whether the session came to its own end, or will not be launched again."""

    def close(self) -> None: ...
    def last_words(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The home a session is played on, a folder outside of its disk, and the gateway's ports."""

    home: Path
    aside: Path
    session_date: date
    port: int
    control_port: int
    rules: Rules

    @property
    def files(self) -> SessionFiles:
        return SessionFiles(home=self.home)

    @property
    def journal(self) -> Path:
        return self.files.journal(Mode.PAPER, self.rules.instrument.symbol)

    def environment(self) -> dict[str, str]:
        """The settings of its processes, and nothing of our own."""
        ours = (PREFIX, "DAGSTER_")
        others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return others | {
            "CREDENCE_HOME": str(self.home),
            "CREDENCE_MODE": "paper",
            "CREDENCE_IBKR_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }

    def session_pid(self) -> int | None:
        """The process that acts for the desk; null when none does."""
        holder = read_json(self.files.holder)
        return int(holder["pid"]) if holder is not None and is_held(self.files) else None


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it buried or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@dataclass(slots=True, kw_only=True)
class PlainLauncher:
    """Launches `credence session` whenever the sensor's rule asks for an attempt.

    Of Dagster only daemon, queue and run worker are missing; what is asked of the lock, the
    attempts and the clock, and the process that runs, are the same.
    """

    place: Place
    now: Callable[[], datetime]
    name: str = "the sensor's rule"
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _launched_at: float = 0.0

    def launch(self) -> None:
        """Ask the rule and do what it says; raises `NotRelaunched` with its reason."""
        for process in self._processes:
            process.wait(PATIENCE_SECONDS)  # Its last thread may end a little after its first.
        self._launched_at = time.time()
        files, day = self.place.files, self.place.session_date
        verdict = session_request(
            self.now(),
            session_on(day, self.place.rules.session),
            Green("the campaign's"),
            kill=_switch(self.place),
            attempts=[_ending(each) for each in self._processes],
            holder=holder_text(files) if is_held(files) else None,
        )
        if not isinstance(verdict, Request):
            raise NotRelaunched(verdict.reason)
        command = [sys.executable, "-m", "pipelines.cli", "session", "--date", day.isoformat()]
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                env=self.place.environment(),
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)

    def launched_at(self) -> float:
        return self._launched_at

    def cut_power(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)

    def attempts(self) -> int:
        return len(self._processes)

    def has_ended(self) -> bool:
        """Launches a run that ended by itself and failed, as the sensor's next tick would."""
        code = self._processes[-1].poll()
        if code is None or code == 0:
            return code == 0
        try:
            self.launch()
        except NotRelaunched:
            return True
        return False

    def close(self) -> None:
        self.cut_power()
        for process in self._processes:
            process.wait()

    def last_words(self) -> str:
        return tail_of(self._log)

    @property
    def _log(self) -> Path:
        return self.place.aside / "session.log"


def tail_of(log: Path, lines: int = 6) -> str:
    """The last lines of a file; empty without one."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    return "\n".join(text.strip().splitlines()[-lines:])


_ENDINGS: Final[Mapping[int | None, Ending]] = {None: Ending.RUNNING, 0: Ending.COMPLETED}


def _ending(process: subprocess.Popen[bytes]) -> Ending:
    return _ENDINGS.get(process.poll(), Ending.CRASHED)


def _switch(place: Place) -> KillSwitch:
    path = place.journal
    return kill_switch_of(JournalReader(path)) if path.is_file() else KillSwitch()
