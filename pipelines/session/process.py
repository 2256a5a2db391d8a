"""Which process is meant: a number alone is used again, after a reboot even at once."""

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """A text that is another one after each start of the machine."""
    if _BOOT_ID.is_file():
        return _BOOT_ID.read_text().strip()
    return f"{psutil.boot_time():.0f}"


def is_running(pid: int, boot: str) -> bool:
    """Whether the process with this number, of this start of the machine, still runs."""
    if boot != boot_id():
        return False
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return plain if isinstance(plain, dict) else None
