"""Files that are either the old version or the new one, whatever happens in between."""

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import psutil

from engine.errors import StorageFull

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

HOST: Final = sha256(os.uname().nodename.encode()).hexdigest()[:8]
"""This machine among those that share a folder: a process id says nothing on another one."""

_OWNED: Final = re.compile(r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9]+-")
STALE_SECONDS: Final = 86_400
"""No write takes a day: what another machine began so long ago, it has given up."""


def write_atomically(path: Path, content: bytes, aside: Path) -> bool:
    """Replace a file in one step; false, and no write, if it already holds these bytes.

    Written into the folder `aside` of the same file system, made durable, then renamed. Raises
    `StorageFull` when the disk refuses; the previous version is then intact.
    """
    if _holds(path, content):
        return False

    def write(target: Path) -> None:
        with target.open("wb") as file:
            file.write(content)

    replace_with(path, write, aside)
    return True


def replace_with(path: Path, write: Callable[[Path], None], aside: Path) -> None:
    """Let `write` make a new version in the folder `aside`, then put it in the place of `path`."""
    _clear_leftovers(aside)
    target = aside / f"{HOST}-{os.getpid()}-{threading.get_ident()}-{path.name}"
    try:
        aside.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(target)
        _sync(target)
        target.replace(path)
        _sync(path.parent)
    except OSError as error:
        if is_no_space(error):
            raise storage_full(path, error.strerror or str(error)) from error
        raise
    finally:
        target.unlink(missing_ok=True)


def storage_full(path: Path, detail: str) -> StorageFull:
    """The error for a disk that refused a write, with the room that is left."""
    folder = next(parent for parent in path.parents if parent.exists())
    free_mb = shutil.disk_usage(folder).free / 1e6
    return StorageFull(
        f"{path}: the disk refused the write ({detail}; {free_mb:.0f} MB free); the previous "
        "version is intact; free some space and run again"
    )


def is_no_space(error: BaseException) -> bool:
    """Whether an error says that the disk, or what we may use of it, is full."""
    return isinstance(error, OSError) and error.errno in _NO_SPACE


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False


def _clear_leftovers(aside: Path) -> None:
    """Remove what a killed process left behind; a living process keeps its own."""
    if not aside.is_dir():
        return
    for leftover in aside.iterdir():
        owned = _OWNED.match(leftover.name)
        if owned is not None and _is_given_up(leftover, owned["host"], int(owned["pid"])):
            leftover.unlink(missing_ok=True)


def _is_given_up(leftover: Path, host: str, pid: int) -> bool:
    if host == HOST:
        return not psutil.pid_exists(pid)
    with suppress(FileNotFoundError):
        return time.time() - leftover.stat().st_mtime > STALE_SECONDS
    return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
