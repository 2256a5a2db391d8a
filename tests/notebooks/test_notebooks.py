"""Every notebook runs from top to bottom on a home as the nights leave it, and is kept clean."""

import os
from pathlib import Path

import nbformat
import pytest
from command_line import learned
from made_once import made_once
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sessions, replayed, with their nights and the published warehouse."""
    return made_once(tmp_path_factory, "learned", learned)


@pytest.fixture(autouse=True)
def _kernel(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person's shell says to Jupyter: the home, and folders of its own."""
    monkeypatch.setenv("CREDENCE_HOME", str(home))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def test_the_notebooks_are_those_that_the_readme_names() -> None:
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")

    assert NOTEBOOKS == [
        "beliefs_and_calibration",
        "data_quality_review",
        "learning_review",
        "research_a_signal",
        "session_review",
    ]
    for name in NOTEBOOKS:
        assert f"`{name}`" in readme


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)

    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:jupyter_client")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:zmq")
def test_a_notebook_runs_from_top_to_bottom(name: str, home: Path) -> None:
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    before = published(home)

    done = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": os.fspath(home)}}
    ).execute()

    code = [cell for cell in done.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = [output for cell in code for output in cell.outputs]
    assert [each for each in shown if each.output_type == "error"] == []
    assert [each for each in shown if "Warning" in str(each.get("text", ""))] == []
    assert any("image/svg+xml" in each.get("data", {}) for each in shown)
    assert not any("cdn" in str(each.get("data", {}).get("text/html", "")) for each in shown)
    assert published(home) == before


def published(home: Path) -> tuple[int, int]:
    """Size and time of the copy that notebooks read: they never write."""
    stat = (home / "published.duckdb").stat()
    return stat.st_size, stat.st_mtime_ns
