"""Beliefs: six questions asked of every bar, answered with evidence, memory and a measure of doubt.

Evidence is a weighted mean of the signals that are present, the likelihood its logistic, the belief
the likelihood's moving average. An unknown likelihood teaches nothing: the belief then falls back
toward where each session starts, and the *effective* belief of that bar is null, so it passes no
gate.
"""

from collections.abc import Sequence
from math import exp
from typing import Final

import polars as pl

from engine.errors import ContractError
from engine.measures import Stage, Within, add_stage, per_rules, stage, within_of
from engine.rules import BeliefRules, ConstraintRules, EvidenceTerm, Rules
from engine.signals import SIGNALS
from engine.units import Side

SIDE_NAMES: Final = {Side.LONG: "long", Side.SHORT: "short"}

_UNNUMBERED: Final = {"failed_break": (-1.0, 1.0, True)}
"""Inputs beside the numbered signals: lowest, highest, and whether positive is bullish."""

_ROUNDING: Final = 1e-9
"""Slack for comparing a sum of decimal weights with a decimal bound."""


def add_beliefs(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Every constraint's coverage, evidence, likelihood, belief, instability and effective belief.

    Columns are `f1_long_belief` for a directional constraint and side, `f5_belief` for one without
    sides; `f1_coverage` is shared. Evidence is null where nothing is known, the likelihood where
    coverage is too low; belief and instability never are; the effective belief is null with the
    likelihood. Reads the signals, `dvs`, `session_phase`, `session_key` and `session_bar`.
    """
    return add_stage(frame, belief_stage(rules, within_of(frame)))


def streams(constraint: ConstraintRules) -> tuple[tuple[str, Side], ...]:
    """Column prefixes of a constraint, each with the sign its signed signals are multiplied by."""
    name = constraint.id.lower()
    if not constraint.is_directional:
        return ((name, Side.LONG),)
    return tuple((f"{name}_{word}", side) for side, word in SIDE_NAMES.items())


def is_covered(constraint: ConstraintRules, beliefs: BeliefRules) -> pl.Expr:
    """Is enough of the constraint's evidence present to answer its question?"""
    return pl.col(f"{constraint.id.lower()}_coverage") >= beliefs.coverage_min - _ROUNDING


def starting_belief(constraint: ConstraintRules) -> float:
    """Belief before the first bar of a session: the likelihood of zero evidence."""
    return 1.0 / (1.0 + exp(-constraint.intercept))


@per_rules
def belief_stage(rules: Rules, within: Within) -> Stage:
    """The passes of the computation; each reads only columns of the passes before it."""
    beliefs = rules.beliefs
    every = [
        (prefix, constraint)
        for constraint in beliefs.constraints
        for prefix, _ in streams(constraint)
    ]
    return stage(
        _shared(beliefs),
        (
            *(part for constraint in beliefs.constraints for part in _parts(constraint)),
            *(_applicability(phases) for phases in sorted({c.phases for c in beliefs.constraints})),
        ),
        (
            *(_share(constraint) for constraint in beliefs.constraints),
            *(
                is_covered(constraint, beliefs).alias(f"_{constraint.id.lower()}_is_covered")
                for constraint in beliefs.constraints
            ),
        ),
        tuple(part for constraint in beliefs.constraints for part in _evidence(constraint)),
        tuple(_likelihood(prefix, constraint) for prefix, constraint in every),
        tuple(_belief(prefix, constraint, within) for prefix, constraint in every),
        (
            *(_change(prefix, constraint) for prefix, constraint in every),
            *(_effective(prefix, constraint) for prefix, constraint in every),
        ),
        tuple(_instability(prefix, beliefs, within) for prefix, _ in every),
    )


def _shared(beliefs: BeliefRules) -> tuple[pl.Expr, ...]:
    """Of every input, its value with 0 for null, and 1 where it is known; what data is worth."""
    terms = [term for constraint in beliefs.constraints for term in constraint.evidence]
    names = sorted({term.signal for term in terms})
    sizes = sorted({term.signal for term in terms if term.absolute})
    trust = (pl.col("dvs") * (1.0 / beliefs.applicability_dvs_min)).clip(upper_bound=1.0)
    return (
        *(pl.col(name).fill_null(0.0).alias(f"_{name}_given") for name in names),
        *(pl.col(name).is_not_null().cast(pl.Float64).alias(f"_{name}_known") for name in names),
        *(pl.col(name).abs().fill_null(0.0).alias(f"_{name}_size") for name in sizes),
        trust.alias("_trust"),
        (pl.col("session_bar") == 0).alias("_is_first"),
    )


def _parts(constraint: ConstraintRules) -> tuple[pl.Expr, ...]:
    """The evidence that turns with the side, the rest of it, and coverage."""
    name, terms = constraint.id.lower(), constraint.evidence
    turning = [_weighted(term) for term in terms if _turns(term)]
    steady = [_weighted(term) for term in terms if not _turns(term)]
    present = [pl.col(f"_{term.signal}_known") * abs(term.weight) for term in terms]
    return (
        _in_order(turning).alias(f"_{name}_turning"),
        _in_order(steady).alias(f"_{name}_steady"),
        (_in_order(present) * (1.0 / _total_weight(constraint))).alias(f"{name}_coverage"),
    )


def _in_order(terms: Sequence[pl.Expr]) -> pl.Expr:
    """Sum from left to right.

    Polars sums horizontally in an order that depends on the threads and on which columns are null,
    and a float sum depends on its order: the same bar would differ in its last bit from run to run.
    """
    total = pl.lit(0.0)
    for term in terms:
        total = total + term
    return total


def _total_weight(constraint: ConstraintRules) -> float:
    return sum(abs(term.weight) for term in constraint.evidence)


def _weighted(term: EvidenceTerm) -> pl.Expr:
    """Weight times the signal scaled to [−1, 1] by its declared range; 0 where it is unknown."""
    low, high, _ = _declared(term.signal)
    given = pl.col(f"_{term.signal}_given")
    if term.absolute:
        given, low, high = pl.col(f"_{term.signal}_size"), 0.0, max(abs(low), abs(high))
    slope = 2 * term.weight / (high - low)
    middle = term.weight * (high + low) / (high - low)
    return given * slope - pl.col(f"_{term.signal}_known") * middle if middle else given * slope


def _turns(term: EvidenceTerm) -> bool:
    """Does the term change sign with the side asked about?"""
    _, _, is_signed = _declared(term.signal)
    return is_signed and not term.absolute


def _declared(name: str) -> tuple[float, float, bool]:
    """Range of an input, and whether positive is bullish."""
    if name in SIGNALS:
        return SIGNALS[name].low, SIGNALS[name].high, SIGNALS[name].signed
    if name in _UNNUMBERED:
        return _UNNUMBERED[name]
    raise ContractError(
        f"beliefs.yaml: expected a signal as evidence, got {name}; known are S1-S35 and "
        f"{sorted(_UNNUMBERED)}"
    )


def _share(constraint: ConstraintRules) -> pl.Expr:
    """One over the weight of the inputs that are present; null where there is none."""
    name = constraint.id.lower()
    coverage = pl.col(f"{name}_coverage")
    present = pl.when(coverage > 0).then(coverage * _total_weight(constraint))
    return (1.0 / present).alias(f"_{name}_share")


def _evidence(constraint: ConstraintRules) -> tuple[pl.Expr, ...]:
    """Weighted mean of the inputs that are present, in [−1, 1]; null where there is none."""
    name = constraint.id.lower()
    turning, steady = pl.col(f"_{name}_turning"), pl.col(f"_{name}_steady")
    summed = {Side.LONG: steady + turning, Side.SHORT: steady - turning}
    return tuple(
        (summed[side] * pl.col(f"_{name}_share")).alias(f"{prefix}_evidence")
        for prefix, side in streams(constraint)
    )


def _likelihood(prefix: str, constraint: ConstraintRules) -> pl.Expr:
    """Logistic of the evidence; null where too little of it is present."""
    odds_against = (pl.col(f"{prefix}_evidence") * -constraint.slope - constraint.intercept).exp()
    return (
        pl.when(f"_{constraint.id.lower()}_is_covered")
        .then(1.0 / (1.0 + odds_against))
        .alias(f"{prefix}_likelihood")
    )


def _belief(prefix: str, constraint: ConstraintRules, within: Within) -> pl.Expr:
    """`λ·B + (1 − λ)·L`; the starting belief also stands in for an unknown likelihood."""
    start, memory = starting_belief(constraint), constraint.memory
    likelihood = pl.col(f"{prefix}_likelihood").fill_null(start)
    first = memory * start + (1 - memory) * likelihood
    fed = pl.when("_is_first").then(first).otherwise(likelihood)
    belief = within(fed.ewm_mean(alpha=1 - memory, adjust=False))
    return belief.alias(f"{prefix}_belief")


def _change(prefix: str, constraint: ConstraintRules) -> pl.Expr:
    """How far the belief moved on this bar."""
    belief = pl.col(f"{prefix}_belief")
    before = pl.when("_is_first").then(starting_belief(constraint)).otherwise(belief.shift())
    return (belief - before).abs().alias(f"_{prefix}_change")


def _instability(prefix: str, beliefs: BeliefRules, within: Within) -> pl.Expr:
    """Moving average of the belief's absolute changes, from the session's first one."""
    change = pl.col(f"_{prefix}_change").ewm_mean(alpha=beliefs.instability_alpha, adjust=False)
    return within(change).alias(f"{prefix}_instability")


def _applicability(phases: tuple[int, ...]) -> pl.Expr:
    """0 outside these phases, less than 1 where data is doubtful."""
    applies = pl.col("session_phase").is_in([float(phase) for phase in phases])
    return pl.when(applies).then("_trust").otherwise(0.0).alias(_applies_in(phases))


def _applies_in(phases: tuple[int, ...]) -> str:
    return f"_applies_in_{'_'.join(map(str, phases))}"


def _effective(prefix: str, constraint: ConstraintRules) -> pl.Expr:
    """The belief as far as its question applies; null where the likelihood is unknown."""
    applied = pl.col(f"{prefix}_belief") * pl.col(_applies_in(constraint.phases))
    is_known = pl.col(f"{prefix}_likelihood").is_not_null()
    return pl.when(is_known).then(applied).alias(f"{prefix}_effective")
