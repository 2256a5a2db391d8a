"""One line of the checklist: what was asked, what was found, and the tick it earned or did not."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Only PASSED is a tick; what could not be asked is not passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Passed:
    """A probe saw what it looks for; `evidence` is what it saw."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A probe saw something else; what was expected, what came, what to do."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The probe could not be made here and now, and why."""

    evidence: str


Found = Passed | Failed | Skipped

VERDICT_OF = {Passed: Verdict.PASSED, Failed: Verdict.FAILED, Skipped: Verdict.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A probe's name and what it found; `seconds` is what it took."""

    probe: str
    question: str
    verdict: Verdict
    evidence: str
    seconds: float
