"""What a check finds, and the pieces that checks are made of."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

CHUNK_SESSIONS: Final = 64
"""Sessions recomputed at once; bounds the memory of a verification over years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer with its evidence; `passed` is null where there was nothing to judge."""

    check: str
    subject: str
    passed: bool | None
    evidence: str


def unjudged(check: str, subject: str, broken: AbstractSet[str]) -> Finding | None:
    """Why a comparison cannot be made; null where it can."""
    if not broken:
        return None
    evidence = f"first repair {', '.join(sorted(broken))}"
    return Finding(check=check, subject=subject, passed=None, evidence=evidence)


def chunks(dates: Sequence[date]) -> Iterator[list[date]]:
    """The dates in order, `CHUNK_SESSIONS` at a time."""
    for _, group in groupby(enumerate(dates), key=lambda item: item[0] // CHUNK_SESSIONS):
        yield [day for _, day in group]
