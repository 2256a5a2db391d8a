"""What the broker told of the market, line by line on disk; a line cut short ends nothing."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from engine.broker import BarReported

_FIELDS: Final = BarReported.__slots__
_INSTANTS: Final = frozenset({"at", "opens_at"})
_AGAIN: Final = "the broker is asked for that minute again"


def append_told(log: Path, bars: Iterable[BarReported]) -> None:
    """Add one line for each bar; the log must have been read, so that it ends with a whole line."""
    with log.open("ab") as lines:
        lines.writelines(orjson.dumps(bar) + b"\n" for bar in bars)


def read_told(log: Path, say: Callable[[str], None], *, is_ours: bool = True) -> list[BarReported]:
    """Every bar of the log that can be read, in the order in which they were told.

    A process that was struck down, or a full disk, leaves a last line that is cut short: it is cut
    off, or the next line would be appended to it. A line that cannot be read is skipped. Both are
    said, with the file and the line; backfill tells those minutes again. Who only reads (not
    `is_ours`) leaves the last line as it is: a session may be about to end it.
    """
    if not log.is_file():
        return []
    whole, newline, torn = log.read_bytes().rpartition(b"\n")
    lines = whole.split(b"\n") if newline else []
    if torn and is_ours:
        with log.open("r+b") as cut:
            cut.truncate(len(whole) + len(newline))
        say(f"{log}, line {len(lines) + 1}: cut short by the end of a run, and cut off; {_AGAIN}")
    bars = []
    for number, line in enumerate(lines, start=1):
        try:
            bars.append(_bar(orjson.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            why = f"{type(error).__name__}: {error}"
            say(f"{log}, line {number}: not a bar, and skipped ({why}); {_AGAIN}")
    return bars


def _bar(plain: Any) -> BarReported:
    """One line as it was told; raises `KeyError`, `TypeError` or `ValueError` when it is none."""
    instants = {name: datetime.fromisoformat(plain[name]) for name in _INSTANTS}
    return BarReported(**{**{name: plain[name] for name in _FIELDS}, **instants})
