"""Other clients of the protocol, each in an environment of its own: they share module names.

The environments are made once and kept in pytest's cache folder; `make clean` removes them.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

INSTALL_SECONDS_MAX = 240


def python_with(requirement: str, cache: Path) -> Path:
    """The interpreter of an environment with this package; the test fails if it cannot be made."""
    home = cache / requirement.replace("==", "-")
    python = home / "bin" / "python"
    with FileLock(cache / f"{home.name}.lock"):
        if not (home / ".whole").exists():
            _make(home, python, requirement)
            (home / ".whole").touch()
    return python


def _make(home: Path, python: Path, requirement: str) -> None:
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        pytest.fail(f"uv is not installed: {requirement} needs an environment; run make test")
    shutil.rmtree(home, ignore_errors=True)
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
        [uv, "pip", "install", "--quiet", "--python", str(python), requirement],
    ):
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"{requirement}: the package index did not answer in time; try again")
        if ended.returncode:
            pytest.fail(
                f"{requirement} could not be installed, and the gateway must agree with it; is "
                f"the package index reachable?\n{ended.stderr.strip()}"
            )
