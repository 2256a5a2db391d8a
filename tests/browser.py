"""Headless chromium on the pages of a desk, and runs launched as the UI launches them."""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from desk_up import DeskUp

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--virtual-time-budget=20000"),
)
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status pipelineName } } }"
REPOSITORY = {"repositoryLocationName": "credence", "repositoryName": "__repository__"}
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


@dataclass(frozen=True)
class Browser:
    """Headless chromium on the pages of one desk."""

    program: str
    desk: DeskUp
    folder: Path

    def text_of(self, page: str) -> str:
        """The page as it is rendered, markup included; kept as a picture if one is asked for."""
        return self._run(page, "--dump-dom").stdout

    def picture_of(self, page: str, target: Path, size: str) -> None:
        self._run(page, f"--screenshot={target}", f"--window-size={size}")
        assert target.stat().st_size > 20_000

    def _run(self, page: str, *flags: str) -> subprocess.CompletedProcess[str]:
        profile = self.folder / f"profile-{time.monotonic_ns()}"
        address = f"http://127.0.0.1:{self.desk.port}{page}"
        command = [self.program, *FLAGS, f"--user-data-dir={profile}", *flags, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def chromium(desk: DeskUp, folder: Path) -> Browser:
    """The browser of this machine; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (apt install chromium)")
    return Browser(program, desk, folder)


def start(
    desk: DeskUp,
    job: str,
    tags: Mapping[str, str],
    *,
    config: Mapping[str, Any] | None = None,
    checks: Sequence[tuple[str, str]] = (),
) -> str:
    """Ask for a run as the UI does; returns its id."""
    selector: dict[str, Any] = {**REPOSITORY, "pipelineName": job}
    if checks:
        selector["assetSelection"] = []
        selector["assetCheckSelection"] = [
            {"assetKey": {"path": [asset]}, "name": name} for asset, name in checks
        ]
    params = {
        "selector": selector,
        "runConfigData": config or {},
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
    }
    launched = desk.ask(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]
    return run_id


def launch(
    desk: DeskUp,
    job: str,
    tags: Mapping[str, str],
    *,
    config: Mapping[str, Any] | None = None,
    checks: Sequence[tuple[str, str]] = (),
) -> str:
    """Ask for a run and wait for its end; returns its id."""
    run_id = start(desk, job, tags, config=config, checks=checks)
    wait_for_end(desk, run_id)
    return run_id


def wait_for_end(desk: DeskUp, run_id: str, seconds: float = 180.0) -> str:
    """The status a run ended with; fails when it does not end."""
    deadline = time.monotonic() + seconds
    while (status := status_of(desk, run_id)) not in ENDED:
        assert time.monotonic() < deadline, f"run {run_id} is {status} and does not end"
        time.sleep(0.3)
    return status


def status_of(desk: DeskUp, run_id: str) -> str:
    status: str = desk.ask(RUN, id=run_id)["runOrError"]["status"]
    return status
