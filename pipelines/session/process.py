"""Which process is meant: a number alone is used again, sooner or later."""

import os
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_STARTED: Final = 19
"""Which word of `/proc/PID/stat` after the name is the start, in ticks since the machine's."""


def life_of(pid: int) -> str | None:
    """A text that no other process ever has, of this machine's start or another one.

    Null when no process has this number now, or it is only waiting to be buried.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if _BOOT_ID.is_file():
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return f"{_BOOT_ID.read_text().strip()}/{words[_STARTED]}"
        return f"{process.create_time():.2f}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def is_running(pid: int, life: str) -> bool:
    """Whether this very process still runs, and not another one that got its number."""
    return life_of(pid) == life


def write_json(path: Path, plain: dict[str, Any]) -> None:
    """Replace a small file in one step: a reader sees the old text or the new one.

    Not made durable: it speaks of a process, and a power cut ends that too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2))
    aside.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a small file; null when there is none, or it was cut short."""
    try:
        plain = orjson.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, orjson.JSONDecodeError):
        return None
    return plain if isinstance(plain, dict) else None
