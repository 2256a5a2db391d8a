"""How a fresh journal takes the place of an older one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from filelock import FileLock, Timeout

from engine.errors import RetryLater
from pipelines.journal_sink import StoredSink
from pipelines.journal_table import Survives
from pipelines.storage.atomic import replace_with

LOCK: Final = ".lock"
LOGS: Final = ("-wal", "-shm")
"""What SQLite keeps beside a journal that is open; a closed one has none."""

_T = TypeVar("_T")


def write_fresh_journal(path: Path, aside: Path, play: Callable[[StoredSink], _T]) -> _T:
    """Let `play` fill a new journal aside, then put it in the place of `path` in one step.

    A reader sees the old journal or the whole new one; after an error the old one is still there.
    Raises `RetryLater` when another process is writing the same journal.
    """
    answers: list[_T] = []

    def write(target: Path) -> None:
        sink = StoredSink(target, survives=Survives.NOTHING)
        try:
            answers.append(play(sink))
        finally:
            sink.close()
            _remove(target, *LOGS, LOCK)
        _remove(path, *LOGS)  # What an older log holds would be read as part of this journal.

    with _only_writer(path):
        replace_with(path, write, aside)
    return answers[0]


def take_the_place(path: Path, fresh: Path) -> None:
    """Put a journal that is whole and closed in the place of `path`, in one step.

    Raises `RetryLater` when another process is writing the journal there.
    """
    with _only_writer(path):
        _remove(path, *LOGS)
        fresh.replace(path)


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Hold the lock that a `JournalWriter` of this file would hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + LOCK))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RetryLater(
            f"{path}: another process is writing this journal; wait for it or stop it, "
            "then run again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _remove(journal: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
