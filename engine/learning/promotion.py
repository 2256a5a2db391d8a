"""A number of a contract that a person changed on the strength of a search, or took back."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from engine.canonical import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the search said of the number: how many it tried, and how far luck explains the gain.

    `why_not` is why it proposed nothing, null where it did. Gains are in R a session.
    """

    through: date
    sessions: int
    tried: int
    gain_r: float
    gain_ahead_r: float
    deflated_sharpe: float
    why_not: str | None = None

    @property
    def text(self) -> str:
        doubt = "" if self.why_not is None else f"; the search proposed nothing: {self.why_not}"
        return (
            f"the best of {self.tried} variants on {self.sessions} sessions through "
            f"{self.through}: {self.gain_r:+.3f} R a session, {self.gain_ahead_r:+.3f} R ahead of "
            f"the choice, deflated Sharpe ratio {self.deflated_sharpe:.2f}{doubt}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One number a person changed: where, from what to what, why, and the contracts around it.

    `undoes` is the number of the line that it takes back, null for a promotion. `evidence` is null
    for a line older than it.
    """

    number: int
    at: datetime
    by: str
    file: str
    key: str
    before: float
    after: float
    reason: str
    hash_before: str
    hash_after: str
    undoes: int | None = None
    evidence: Evidence | None = None

    @property
    def text(self) -> str:
        what = f"{self.file}.{self.key} {self.before:g} → {self.after:g}"
        told = "" if self.evidence is None else f" ({self.evidence.text})"
        if self.undoes is not None:
            return f"{self.by} took back promotion {self.undoes}, {what}{told}"
        return f"{self.by} promoted {what}: {self.reason}{told}"


_READER: Final = Reader(Promotion)


def promotion_of(line: str) -> Promotion:
    """The promotion that a line tells; raises `JournalError` for one this version cannot read."""
    promotion: Promotion = _READER.from_json(line)
    return promotion
