"""A Python environment per engine, made on demand: no engine is a dependency of the desk."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pipelines.stopwatch.engines import ForeignEngine

INSTALL_SECONDS_MAX: Final = 900
READY: Final = ".ready"


@dataclass(frozen=True, slots=True)
class Unusable:
    """An engine that cannot take part, and why in one line."""

    reason: str


def environment_of(engine: ForeignEngine, folder: Path) -> Path | Unusable:
    """The interpreter of an engine's environment under a folder, made with uv if it is not there.

    Its name carries the pinned packages and our own Python, so that a change of either makes a
    new one. The same index is used as for the desk itself.
    """
    pinned = engine.requirements.read_bytes() + sys.version.encode()
    place = folder / f"{engine.key}-{sha256(pinned).hexdigest()[:12]}"
    python = place / "bin" / "python"
    if (place / READY).is_file():
        return python
    uv = _uv()
    if uv is None:
        return Unusable("uv is not installed, and it makes the environment: pip install uv")
    making = ("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
    filling = ("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python))
    for words in (making, (*filling, "--requirement", str(engine.requirements))):
        problem = _problem_of([uv, *words])
        if problem is not None:
            return Unusable(f"not installable here: {problem}")
    (place / READY).touch()
    return python


def _uv() -> str | None:
    """The uv beside our interpreter, where `make` puts it, or the one on the path."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def _problem_of(command: list[str]) -> str | None:
    """What went wrong with a command, in one line; null when nothing did."""
    try:
        done = subprocess.run(  # noqa: S603 - uv, with arguments of our own
            command, capture_output=True, timeout=INSTALL_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done in {INSTALL_SECONDS_MAX} seconds"
    if not done.returncode:
        return None
    return " ".join(done.stderr.decode(errors="replace").split()) or f"code {done.returncode}"
