"""Table `beliefs`: six columns per constraint and side, from the constraints of the contract."""

from functools import cache

from contracts.loader import load_rules
from contracts.schemas.columns import BAR_KEY, number, share
from contracts.schemas.table import Column, Table
from engine.beliefs import streams
from engine.rules import ConstraintRules
from engine.units import Side


@cache
def beliefs() -> Table:
    """The table for the constraints of `contracts/beliefs.yaml`."""
    constraints = load_rules().beliefs.constraints
    return Table(
        name="beliefs",
        meaning="What the desk believes at each close: one answer per question and side.",
        key=("symbol", "closes_at"),
        columns=(*BAR_KEY, *(c for constraint in constraints for c in _columns(constraint))),
    )


def _columns(constraint: ConstraintRules) -> list[Column]:
    name = constraint.id
    columns = [share(f"{name.lower()}_coverage", f"{name}: share of its evidence that is known.")]
    for prefix, side in streams(constraint):
        which = f"{name} {Side(side).name.lower()}" if constraint.is_directional else name
        columns += _stream(prefix, which, constraint.question)
    return columns


def _stream(prefix: str, which: str, question: str) -> list[Column]:
    too_little = "too little of the evidence is known"
    return [
        number(
            f"{prefix}_evidence",
            "weighted mean",
            f"{which}: weighted evidence on the question: {question}",
            null="nothing of the evidence is known",
            low=-1,
            high=1,
        ),
        share(f"{prefix}_likelihood", f"{which}: logistic of the evidence.", null=too_little),
        share(f"{prefix}_belief", f"{which}: the likelihood's moving average in this session."),
        share(f"{prefix}_instability", f"{which}: moving average of the belief's absolute change."),
        share(
            f"{prefix}_effective",
            f"{which}: the belief, less where data is doubtful; 0 where it does not apply.",
            null=too_little,
        ),
    ]
