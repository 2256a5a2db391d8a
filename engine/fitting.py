"""The recipe that sets slope and intercept of every constraint from what its evidence looks like.

The median evidence is given one likelihood and strong evidence another, so a threshold between them
means the same rarity on any instrument, and a constraint is neither always on nor out of reach. A
gate is meant to be rarely shut: it gets the mirror image, from its median and its weak evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import log
from typing import Final

import polars as pl

from engine.beliefs import is_covered, streams
from engine.errors import InputRefused
from engine.rules import BeliefFit, BeliefRules, ConstraintRules

_DIGITS: Final = 6
"""Decimals kept of slope and intercept: what the contract file shows is what the desk uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedConstraint:
    """Slope and intercept of one constraint, and the evidence they came from.

    `evidence_tail` is the high quantile of the evidence, of a gate the mirrored low one. `values`
    counts the pooled pieces of evidence: one per bar and side with enough coverage.
    """

    id: str
    slope: float
    intercept: float
    evidence_median: float
    evidence_tail: float
    values: int


def fit_beliefs(frame: pl.DataFrame, beliefs: BeliefRules) -> tuple[FittedConstraint, ...]:
    """Solve both likelihoods of `beliefs.fit` for every constraint, on the sessions of a frame.

    Reads the evidence and coverage of `beliefs.add_beliefs`, which do not depend on earlier slopes;
    both sides are pooled. Raises `InputRefused` when a constraint's evidence has no spread.
    """
    return tuple(_fit(frame, constraint, beliefs) for constraint in beliefs.constraints)


def with_fit(
    beliefs: BeliefRules,
    fitted: Sequence[FittedConstraint],
    *,
    source: str,
    session_dates: Sequence[date],
) -> BeliefRules:
    """The contract block with new slopes and intercepts, and the training sessions on record."""
    by_id = {fit.id: fit for fit in fitted}
    constraints = tuple(
        replace(
            constraint,
            slope=by_id[constraint.id].slope,
            intercept=by_id[constraint.id].intercept,
        )
        for constraint in beliefs.constraints
    )
    fit = BeliefFit(
        median_likelihood=beliefs.fit.median_likelihood,
        high_quantile=beliefs.fit.high_quantile,
        high_likelihood=beliefs.fit.high_likelihood,
        source=source,
        first_session_date=min(session_dates),
        last_session_date=max(session_dates),
        sessions=len(set(session_dates)),
    )
    return replace(beliefs, constraints=constraints, fit=fit)


def _fit(
    frame: pl.DataFrame, constraint: ConstraintRules, beliefs: BeliefRules
) -> FittedConstraint:
    covered = frame.filter(is_covered(constraint, beliefs))
    evidence = pl.concat(covered[f"{prefix}_evidence"] for prefix, _ in streams(constraint))
    quantile, at_median, at_tail = _anchors(constraint, beliefs.fit)
    median = evidence.quantile(0.5, interpolation="linear")
    tail = evidence.quantile(quantile, interpolation="linear")
    if median is None or tail is None or median == tail:
        raise InputRefused(
            f"constraint {constraint.id}: expected the {quantile:.0%} quantile of evidence away "
            f"from its median, got {tail} and {median} over {evidence.len()} values; "
            "train on more sessions, or on sessions in which its signals move"
        )
    slope = (_log_odds(at_tail) - _log_odds(at_median)) / (tail - median)
    intercept = _log_odds(at_median) - slope * median
    return FittedConstraint(
        id=constraint.id,
        slope=round(slope, _DIGITS),
        intercept=round(intercept, _DIGITS),
        evidence_median=median,
        evidence_tail=tail,
        values=evidence.len(),
    )


def _anchors(constraint: ConstraintRules, fit: BeliefFit) -> tuple[float, float, float]:
    """Quantile of the tail, and the likelihoods of median and tail."""
    if constraint.is_gate:
        return 1 - fit.high_quantile, 1 - fit.median_likelihood, 1 - fit.high_likelihood
    return fit.high_quantile, fit.median_likelihood, fit.high_likelihood


def _log_odds(probability: float) -> float:
    return log(probability / (1 - probability))
