"""The real command line on a real data home, without a process of its own."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli import run
from pipelines.commands.dagster_job import run_job
from pipelines.commands.screen import Screen
from pipelines.schedules import RANGE_FIRST, RANGE_LAST
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

FIRST, LAST = "2025-01-02", "2025-01-10"
"""Six generated sessions; in the first weeks of seed 7 the desk finds trades on most days."""


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that `--json` promises."""
        return json.loads(self.out)


def credence(home: Path, *arguments: str, **settings: object) -> Ended:
    """Call the program with only these settings in its environment."""
    environ = {f"CREDENCE_{name.upper()}": str(value) for name, value in settings.items()}
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments, {"CREDENCE_HOME": str(home), **environ})
    return Ended(code, out.getvalue(), err.getvalue())


def ingested(home: Path) -> Path:
    """The home with the six generated sessions."""
    ended = credence(home, "ingest", "generator:7", "--from", FIRST, "--to", LAST)
    assert ended.code == 0, ended.err
    return home


def replayed(home: Path) -> Path:
    """The home with the six sessions and the full journal of their replay."""
    ended = credence(ingested(home), "replay")
    assert ended.code == 0, ended.err
    return home


def learned(home: Path) -> Path:
    """The home with the six sessions, their market tables, a replay that learned and its nights."""
    ingested(home)
    wiring = Wiring(settings=load_settings({"CREDENCE_HOME": str(home)}))
    tags = {RANGE_FIRST: FIRST, RANGE_LAST: LAST}
    assert run_job(wiring, Screen.of_process(), "market_day", tags=tags).succeeded
    for command in (("replay", "--learn"), ("learn",)):
        ended = credence(home, *command)
        assert ended.code == 0, ended.err
    return home


def copied(home: Path, to: Path) -> Path:
    """A home of one's own, to be damaged."""
    shutil.copytree(home, to)
    return to
