"""Only one process acts for a desk: an operating-system lock that ends with its holder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from filelock import FileLock, Timeout

from engine.errors import SessionBusy
from engine.modes import Mode
from pipelines.session.files import SessionFiles
from pipelines.session.process import is_running, life_of, read_json, write_json


@contextmanager
def session_lock(
    files: SessionFiles, *, what: str, mode: Mode, symbol: str, session_date: date | None
) -> Iterator[None]:
    """Hold the lock of the home; raises `SessionBusy` with the holder's words and pid.

    SIGKILL and a power cut release it: what is locked is the file's descriptor, not its existence.
    """
    files.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(files.lock, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SessionBusy(
            f"{files.lock}: {holder_text(files)} acts for this desk; expected to be the only one. "
            "Stop it first, or use its levers: credence halt, kill, flatten, resume"
        ) from None
    try:
        write_json(
            files.holder,
            {
                "what": what,
                "pid": os.getpid(),
                "life": life_of(os.getpid()),
                "mode": mode.value,
                "symbol": symbol,
                "session_date": None if session_date is None else session_date.isoformat(),
                "since": datetime.now(UTC).isoformat(),
            },
        )
        yield
    finally:
        files.holder.unlink(missing_ok=True)
        lock.release()


def is_held(files: SessionFiles) -> bool:
    """Whether the process that acts for the desk still runs; asks without touching the lock."""
    holder = read_json(files.holder)
    return holder is not None and is_running(holder["pid"], holder["life"])


def last_held_mode(files: SessionFiles, symbol: str) -> Mode | None:
    """The mode of the process that acts for the desk of a symbol, or died without letting go.

    Null when the last one let go of it.
    """
    holder = read_json(files.holder)
    return Mode(holder["mode"]) if holder is not None and holder["symbol"] == symbol else None


def holder_text(files: SessionFiles) -> str:
    """Who holds the lock, in words."""
    holder = read_json(files.holder)
    if holder is None:
        return "another process"
    return f"{holder['what']} ({holder['mode']} {holder['symbol']}, pid {holder['pid']})"
