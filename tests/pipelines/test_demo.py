"""The demo, as a newcomer runs it: one command, one page, its own home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import credence


def demo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: text for name, text in os.environ.items() if not name.startswith("CREDENCE_")}
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "demo", *arguments],
        env=environ | {"CREDENCE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.slow
def test_the_demo_tells_its_story_and_passes_its_own_checks(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--sessions", "3")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for chapter in (
        *("What came", "What it believed", "What it did on", "Why not", "Verified"),
        "Played through a simulated IB Gateway and ib_insync",
    ):
        assert chapter in ran.stdout
    passed, of = ran.stdout.split("Verified: ")[1].split(" checks passed")[0].split(" of ")
    assert int(passed) == int(of) > 20
    assert "Traceback" not in ran.stderr
    assert "Warning" not in ran.stderr
    for words in (
        ("2025-09-02", "--of", "demo-replay"),
        ("2025-09-03", "--at", "10:42"),
        ("2025-09-04", "--at", "10:42", "--of", "rehearsals"),
    ):
        assert credence(tmp_path / "demo", "journal", *words).code == 0
    assert "report 2025-09-05 --preopen" in ran.stdout


def test_the_demo_does_not_empty_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    mine = tmp_path / "demo" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("not a demo")

    ran = demo(tmp_path)

    assert ran.returncode == 2
    assert "expected an empty folder or an earlier demo" in ran.stderr
    assert mine.read_text() == "not a demo"
