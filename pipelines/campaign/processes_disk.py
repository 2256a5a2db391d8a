"""A disk that can be full: a small file system of its own, or a limit on what a process writes."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import psutil

DISK_MEGABYTES: Final = 64
_BALLAST: Final = "ballast"
_BLOCK_BYTES: Final = 64 * 1024


class Disk(Protocol):
    """Where a desk's home is, and how it is filled and freed."""

    @property
    def name(self) -> str: ...
    def fill(self, pid: int) -> None: ...
    def free(self) -> None: ...


class SmallDisk:
    """A file system in memory of a few megabytes: full is ENOSPC, for everybody."""

    name = "a full file system"

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / _BALLAST

    def fill(self, pid: int) -> None:  # noqa: ARG002 - It is full for all.
        """Take every byte that is left."""
        with self._ballast.open("ab", buffering=0) as ballast:
            size = _BLOCK_BYTES
            while size:
                try:
                    size = 0 if ballast.write(b"\0" * size) < size else size
                except OSError:
                    size //= 2

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


class LimitedProcess:
    """Where nothing may be mounted: the system refuses a process every further byte (EFBIG)."""

    name = "a limit on the process"

    def fill(self, pid: int) -> None:
        """From now on no file of the process may grow."""
        with suppress(psutil.NoSuchProcess):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self) -> None:
        """Nothing to do: the limit ends with the process."""


@contextmanager
def disk_at(folder: Path) -> Iterator[Disk]:
    """A disk on an empty folder; what is on it is gone with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mounted(folder):
        yield LimitedProcess()
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


def _mounted(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    size = f"size={DISK_MEGABYTES}m"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0
