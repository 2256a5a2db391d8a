"""A real `credence up` in a process of its own, on a free port of this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipelines.dagster_home import REPOSITORY
from pipelines.up import MODULE

STARTS = """
import sys
from pathlib import Path
from pipelines.up import run_up

def say(text):
    print(text, flush=True)

sys.exit(run_up(Path(sys.argv[1]), port=int(sys.argv[2]), say=say, module=sys.argv[3]))
"""


@dataclass
class DeskUp:
    """The process, where its UI is, and what it has said so far."""

    process: subprocess.Popen[str]
    home: Path
    port: int
    said: list[str] = field(default_factory=list)

    def wait_for(self, words: str) -> str:
        """The line that says it; fails when the process ends without."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}: {self.said}")

    def parts(self, until: str) -> dict[str, int]:
        """Process ids of its parts, by name, once this one is started."""
        kept = self.home / "dagster" / "credence-up.json"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if kept.exists():
                began = json.loads(kept.read_text())
                if until in began:
                    return {name: pid for name, (pid, _) in began.items()}
            time.sleep(0.05)
        raise AssertionError(f"{until} was not started within a minute: {self.said}")

    def family(self) -> list[psutil.Process]:
        """Every process that lives because of this one."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def ends(self, number: signal.Signals) -> int:
        """Exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout=45)

    def ask(self, query: str, **variables: Any) -> Mapping[str, Any]:
        """The answer of the UI's GraphQL; an error in it fails the test."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: Mapping[str, Any] = answer["data"]
        return data


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def desk_up(
    home: Path,
    environ: Mapping[str, str] | None = None,
    *,
    module: str = MODULE,
    port: int | None = None,
) -> Iterator[DeskUp]:
    """Start it under these settings; whatever is left of it at the end is killed."""
    port = port or free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CREDENCE_", "DAGSTER_"))
    } | dict(environ or {})
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", STARTS, str(home), str(port), module],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    ) as process:
        desk = DeskUp(process=process, home=home, port=port)
        try:
            yield desk
        finally:
            family = desk.family() if process.poll() is None else []
            process.kill()
            for member in family:
                if member.is_running():
                    member.kill()


def still_working(family: list[psutil.Process]) -> list[psutil.Process]:
    """Processes that still run; one that ended and waits for a parent to notice does not."""
    return [
        member
        for member in family
        if member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    ]
