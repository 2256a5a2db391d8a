"""How a fresh journal takes the place of an older one."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pipelines.journal_sink import StoredSink
from pipelines.storage.atomic import replace_with

SIDE_FILES: Final = ("-wal", "-shm", ".lock")
"""What SQLite and the writer's lock leave beside a journal."""

_T = TypeVar("_T")


def write_fresh_journal(path: Path, aside: Path, play: Callable[[StoredSink], _T]) -> _T:
    """Let `play` fill a new journal aside, then put it in the place of `path` in one step.

    A reader sees the old journal or the whole new one; after an error the old one is still there.
    """
    answers: list[_T] = []

    def write(target: Path) -> None:
        sink = StoredSink(target)
        try:
            answers.append(play(sink))
        finally:
            sink.close()
            _remove_side_files(target)
        # What an earlier journal left in its log would be read as part of this one.
        _remove_side_files(path)

    replace_with(path, write, aside)
    return answers[0]


def _remove_side_files(journal: Path) -> None:
    for suffix in SIDE_FILES:
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
