"""Which desk of a home is meant when nobody names one: that for which somebody acted last."""

import sqlite3
from pathlib import Path
from typing import Final

from engine.modes import Mode
from pipelines.journal_store import JournalReader, written_at_ns
from pipelines.session.files import SessionFiles
from pipelines.session.lock import last_held_mode

MODES: Final = (Mode.OBSERVE, Mode.PAPER, Mode.LIVE)


def modes_by_last_act(files: SessionFiles, symbol: str) -> list[Mode]:
    """The modes in which the desk of a symbol has journalled anything, the last one first.

    A process that was struck did not let go of the desk: its mode comes before all others.
    """
    held = last_held_mode(files, symbol)
    acted = [mode for mode in MODES if _has_events(files.journal(mode, symbol))]
    return sorted(
        acted,
        key=lambda mode: (mode is held, written_at_ns(files.journal(mode, symbol))),
        reverse=True,
    )


def last_mode(files: SessionFiles, symbol: str) -> Mode | None:
    """The mode in which the desk of a symbol was acted for last; null where it never was."""
    return next(iter(modes_by_last_act(files, symbol)), None)


def _has_events(path: Path) -> bool:
    """A run that was refused leaves an empty journal; a damaged one tells of a desk that was."""
    try:
        return path.is_file() and JournalReader(path).head().seq > 0
    except sqlite3.DatabaseError:
        return True
