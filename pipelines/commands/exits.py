"""How a command ends: its exit code, and the one message of an error."""

import sqlite3
from enum import IntEnum

from engine.errors import CredenceError, InputRefused


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NO = 1
    USAGE = 2
    OUTSIDE = 3


INTERRUPTED = 130
"""What shells expect of a program that a person stopped with Ctrl-C."""


def ending_of(error: Exception) -> tuple[Exit, str]:
    """Exit code and message of an error that ended a command.

    What a person can correct is wrong usage; a disk, a broker, a lock or a broken file is the
    outside world; what nobody foresaw says how to learn more.
    """
    if isinstance(error, InputRefused):
        return Exit.USAGE, str(error)
    if isinstance(error, CredenceError):
        return Exit.OUTSIDE, str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return Exit.OUTSIDE, (
            f"{place}the system refused ({error.strerror or error}); "
            "check the path, its rights and the disk, then run again"
        )
    if isinstance(error, sqlite3.DatabaseError):
        return Exit.OUTSIDE, (
            f"a journal could not be read ({error}); "
            "`credence verify` says which, and whether its chain is whole"
        )
    return Exit.OUTSIDE, (
        f"unexpected {type(error).__name__}: {error}; run `credence --traceback …` to see where, "
        "and report it with that output"
    )
