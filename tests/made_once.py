"""What is costly to make is made once for all workers of a test run; each has a copy of its own."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """This worker's own folder with what `make` left in it; other workers wait for the first one.

    `make` is given a folder that is not there yet, and closes what it opens in it.
    """
    own = factory.mktemp(name) / "home"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(own)
        return own
    shared = factory.getbasetemp().parent / f"{name}-made-once"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            make(own)
            shutil.copytree(own, unfinished := shared.with_suffix(".unfinished"))
            unfinished.rename(shared)
            return own
    return Path(shutil.copytree(shared, own))
