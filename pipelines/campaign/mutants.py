"""Bugs planted in a copy of the desk, one at a time: does the campaign, or its test, see each?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from engine.errors import CredenceError
from pipelines.campaign.catalogue import Mutation

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("engine", "contracts", "assets", "pipelines", "tests")
SLICE_SESSIONS: Final = 240
SECONDS_MAX: Final = 1_200
UNCAUGHT: Final = 0
CAUGHT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """What saw a planted bug; `by` is null when nothing did."""

    mutation: str
    by: str | None
    text: str = ""


def catch(
    mutations: Sequence[Mutation],
    seed: int,
    *,
    sessions: int = SLICE_SESSIONS,
    workers: int = 2,
    told: Callable[[Caught], None] | None = None,
) -> list[Caught]:
    """Plant each mutation; the test it names looks first, as that is quicker, then the campaign."""

    def judged(mutation: Mutation) -> Caught:
        caught = _caught(mutation, seed, sessions)
        if told is not None:
            told(caught)
        return caught

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(judged, mutations))


def planted(mutation: Mutation, root: Path) -> None:
    """Change the files of a copy; raises `CredenceError` where the text is not there once."""
    for edit in mutation.edits:
        path = root / edit.path
        text = path.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise CredenceError(
                f"{edit.path}: expected {edit.old!r} once for the mutation {mutation.name!r}, "
                f"found it {text.count(edit.old)} times; the source has changed, adapt the edit"
            )
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def _caught(mutation: Mutation, seed: int, sessions: int) -> Caught:
    with TemporaryDirectory(prefix="credence-mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(ROOT / "pyproject.toml", root)
        planted(mutation, root)
        if mutation.test:
            tested = _run(root, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test)
            if tested.returncode == CAUGHT:
                failed = [x for x in tested.stdout.splitlines() if x.startswith("FAILED")]
                name = failed[0].partition("::")[2].split(" - ")[0] if failed else ""
                return Caught(mutation=mutation.name, by=f"{mutation.test}::{name}")
        played = _run(root, "-m", "pipelines.campaign", str(sessions), str(seed))
        if played.returncode == CAUGHT:
            law, _, text = played.stdout.strip().partition("\t")
            if law:
                return Caught(mutation=mutation.name, by=law, text=text)
        if played.returncode != UNCAUGHT:
            last = " ".join(played.stderr.strip().splitlines()[-1:])
            raise CredenceError(
                f"the mutation {mutation.name!r} does not run: {last}; "
                "a bug that stops the desk from starting proves nothing, adapt it"
            )
    return Caught(mutation=mutation.name, by=None)


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "POLARS_MAX_THREADS": "1",
    }
    try:
        return subprocess.run(  # noqa: S603 - Our own interpreter and modules.
            [sys.executable, *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"hung\tno end within {SECONDS_MAX} s"
        return subprocess.CompletedProcess(arguments, CAUGHT, text, "")
