"""The file that keeps every promotion: one line each, durable before the contract says the number.

A crash can leave its last line torn. The contract was not touched then; what is there of the line
is put aside with the next one, and nothing is lost.
"""

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from contracts.editing import sync
from engine.canonical import TYPE, to_json
from engine.errors import ContractError, JournalError
from engine.learning.promotion import Promotion, promotion_of

RECORD: Final = "promotions.jsonl"

TORN: Final = "promotions.torn"
"""Beside the record: what crashes left of lines."""


class Record(NamedTuple):
    """Every promotion, oldest first, and what there is of a last line that was never finished."""

    lines: list[Promotion]
    torn: bytes


def read_record(folder: Path) -> Record:
    """What the record of a contracts folder says; raises `ContractError` naming a broken line.

    A last line without its end is torn, unless all of it but the end is there.
    """
    path = folder / RECORD
    *whole, last = path.read_bytes().split(b"\n") if path.exists() else (b"",)
    lines = [_promotion(path, number, line) for number, line in enumerate(whole, start=1)]
    if last:
        try:
            return Record([*lines, _promotion(path, len(lines) + 1, last)], b"")
        except ContractError:
            return Record(lines, last)
    return Record(lines, b"")


def append_durably(folder: Path, promotion: Promotion) -> None:
    """Add a line to the record; when this returns, it outlives a power cut."""
    path, torn = folder / RECORD, read_record(folder).torn
    if torn:
        _write(folder / TORN, torn + b"\n")
        os.truncate(path, path.stat().st_size - len(torn))
    is_ended = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
    _write(path, b"" if is_ended else b"\n", to_json(promotion).encode() + b"\n")
    sync(folder)


def _write(path: Path, *content: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(content))
        file.flush()
        os.fsync(file.fileno())


def _promotion(path: Path, number: int, line: bytes) -> Promotion:
    try:
        return promotion_of(json.dumps({TYPE: Promotion.__name__, **json.loads(line)}))
    except (JournalError, TypeError, ValueError) as error:  # No JSON and no UTF-8 are the latter.
        shown = line[:80].decode(errors="replace")
        raise ContractError(
            f"{path}, line {number}: expected a promotion, got {shown!r} ({error}); "
            "restore the line"
        ) from error
