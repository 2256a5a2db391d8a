"""A copy of the contract files that a test may spoil."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.reading import FILES, FOLDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The contract files, copied."""
    for stem in FILES:
        (tmp_path / f"{stem}.yaml").write_bytes((FOLDER / f"{stem}.yaml").read_bytes())
    return tmp_path


@pytest.fixture
def spoil(folder: Path) -> Callable[[str, str, str], Path]:
    """Replaces one text, which must be there once, in the copy of one file."""

    def replace(stem: str, old: str, new: str) -> Path:
        path = folder / f"{stem}.yaml"
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {stem}.yaml"
        path.write_text(text.replace(old, new))
        return folder

    return replace
