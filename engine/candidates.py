"""Candidates: what the market alone would allow, per template and bar, and the first no of each.

A template has a *setup* on a bar when its geometry names a side and its constraint is believed on
that side. Every gate that needs only the market is judged here, in the order of the ladder. What
depends on us can only remove candidates; where odds were earned they are asked in the prior's
place, so what the score alone refuses may still become an entry.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Final

import polars as pl

from engine.beliefs import SIDE_NAMES, streams
from engine.gates import (
    bar_step,
    first_no,
    is_vetoed,
    lockout_memory,
    lockout_starts,
    minutes_to_close,
    step_of,
)
from engine.ladder import LADDER, PASSED, Reason
from engine.measures import Stage, add_stage, per_rules, stage
from engine.plans import largest, least
from engine.rules import Rules, TemplateRules
from engine.scores import (
    bar_theta,
    biases,
    conflict_theta,
    doubt,
    edge,
    euc,
    prior_p_win,
    theta,
)
from engine.strategies.protocol import Strategy
from engine.strategies.registry import templates
from engine.units import Side

SETUP_COLUMNS: Final[Mapping[str, pl.DataType]] = {
    "side": pl.Int8(),
    "stop_ticks": pl.Int32(),
    "target_ticks": pl.Int32(),
    "belief": pl.Float64(),
    "instability": pl.Float64(),
    "p_win": pl.Float64(),
    "edge": pl.Float64(),
    "theta": pl.Float64(),
    "euc": pl.Float64(),
    "reason": pl.String(),
    "step_if_believed": pl.Int8(),
}
"""What each template adds, under its id in lower case: `k1_side`, `k1_stop_ticks`, …"""

PASSES_WITH_MEMORY: Final = 2
"""The first passes of the stage, which read earlier bars; all later ones are row by row."""

_OF_A_SETUP: Final = ("stop_ticks", "target_ticks", "instability", "p_win", "edge", "theta", "euc")
_REASONS: Final = pl.Series([*(reason.value for reason in LADDER), None], dtype=pl.String)


def add_candidates(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Every template's setup and score, and the bar's first market-only no.

    Per template the columns of `SETUP_COLUMNS`. `side` is 0 without a setup, and then the numbers
    are null but `belief`, the more believed side's. `reason` is the template's own first no, null
    for none. `step_if_believed` is the ladder step it would have reached had its belief come up to
    its minimum: `PASSED` when belief is all that is missing, `NO_CANDIDATE` where its geometry
    names no side.

    Per bar: `minutes_to_close`, `market_step` (an index into `LADDER`, `PASSED` if none),
    `has_setup`, `may_enter`, and the `minutes_since_…` of each lockout. Scores assume EQS = 1 and a
    learning modifier of 1. Reads quality, signals, beliefs and the context's `session_minutes`.
    """
    return add_stage(frame, candidate_stage(rules))


@per_rules
def candidate_stage(rules: Rules) -> Stage:
    """The passes of the computation; each reads only columns of the passes before it.

    Columns that start with `_` belong to the geometry, whatever is believed; a setup takes its
    numbers from them.
    """
    found, blocks = templates(rules), rules.strategies.templates
    names = [block.id.lower() for block in blocks]
    return stage(
        (
            minutes_to_close().alias("minutes_to_close"),
            *lockout_starts(rules),
            *(column for template in found for column in template.detect(rules).columns),
            *(biases(rules, side).alias(f"_biases_{SIDE_NAMES[side]}") for side in Side),
            *_bar_gates(rules),
            doubt(rules).alias("_doubt"),
        ),
        (
            *(_seen(template, rules) for template in found),
            *lockout_memory(),
            bar_theta(rules).alias("_theta"),
        ),
        (
            bar_step(rules).alias("_bar_step"),
            *(_belief(block, rules) for block in blocks),
            *(_instability(block, rules) for block in blocks),
            *(_stop(template, rules) for template in found),
        ),
        (
            *(_target(template, rules) for template in found),
            *(_believed(block) for block in blocks),
            *(
                (pl.col(f"{block.id.lower()}_belief") >= block.belief_min).alias(
                    f"_{block.id.lower()}_is_believed"
                )
                for block in blocks
            ),
        ),
        (
            *(_has_bracket(name) for name in names),
            *(prior_p_win(name, rules).alias(f"_{name}_p_win") for name in names),
        ),
        (
            *(_side(name) for name in names),
            *(edge(name).alias(f"_{name}_edge") for name in names),
        ),
        (
            conflict_theta(_has_conflict(names), rules).alias("_conflict"),
            *((pl.col(f"{name}_side") != 0).alias(f"_{name}_is_setup") for name in names),
            *(euc(name, rules).alias(f"_{name}_euc") for name in names),
        ),
        (
            reduce(or_, (pl.col(f"_{name}_is_setup") for name in names)).alias("has_setup"),
            *(theta(name, rules).alias(f"_{name}_theta") for name in names),
        ),
        tuple(_step_if_believed(block, rules) for block in blocks),
        tuple(_step(name) for name in names),
        (
            _market_step(names).alias("market_step"),
            *(column for name in names for column in _setup(name)),
        ),
        ((pl.col("market_step") == PASSED).alias("may_enter"),),
    )


def stop_ticks(template: Strategy, side: pl.Expr, rules: Rules) -> pl.Expr:
    """A template's stop distance on a side in whole ticks (Int32), at least the minimum."""
    needed = template.detect(rules).stop_ticks(side).ceil().cast(pl.Int32)
    return needed.clip(lower_bound=rules.strategies.stop_ticks_min)


def target_ticks(template: Strategy, side: pl.Expr, stop: pl.Expr, rules: Rules) -> pl.Expr:
    """A template's target distance on a side in whole ticks (Int32)."""
    return template.detect(rules).target_ticks(side, stop).ceil().cast(pl.Int32)


def _seen(template: Strategy, rules: Rules) -> pl.Expr:
    """Side that the template's geometry names, before its belief is asked; 0 for none."""
    side = template.detect(rules).side.cast(pl.Int8).fill_null(0)
    return side.alias(f"_{template.id.lower()}_seen")


def _stop(template: Strategy, rules: Rules) -> pl.Expr:
    name = template.id.lower()
    return stop_ticks(template, pl.col(f"_{name}_seen"), rules).alias(f"_{name}_stop_ticks")


def _target(template: Strategy, rules: Rules) -> pl.Expr:
    name = template.id.lower()
    seen, stop = pl.col(f"_{name}_seen"), pl.col(f"_{name}_stop_ticks")
    return target_ticks(template, seen, stop, rules).alias(f"_{name}_target_ticks")


def _of_sides(block: TemplateRules, rules: Rules, what: str) -> list[pl.Expr]:
    """A column of the template's constraint, long and short."""
    constraint = next(c for c in rules.beliefs.constraints if c.id == block.constraint)
    return [pl.col(f"{prefix}_{what}") for prefix, _ in streams(constraint)]


def _belief(block: TemplateRules, rules: Rules) -> pl.Expr:
    """Effective belief of the geometry's side; without one, the more believed side's."""
    name, (long, short) = block.id.lower(), _of_sides(block, rules, "effective")
    seen = pl.col(f"_{name}_seen")
    stronger = pl.max_horizontal(long, short)
    belief = pl.when(seen > 0).then(long).when(seen < 0).then(short).otherwise(stronger)
    return belief.alias(f"{name}_belief")


def _believed(block: TemplateRules) -> pl.Expr:
    """The belief, or the least that would do."""
    name = block.id.lower()
    return pl.max_horizontal(f"{name}_belief", pl.lit(block.belief_min)).alias(f"_{name}_belief")


def _instability(block: TemplateRules, rules: Rules) -> pl.Expr:
    name, (long, short) = block.id.lower(), _of_sides(block, rules, "instability")
    of_side = pl.when(pl.col(f"_{name}_seen") > 0).then(long).otherwise(short)
    return of_side.alias(f"_{name}_instability")


def _has_bracket(name: str) -> pl.Expr:
    """Does the geometry name a side, and both distances?"""
    stop, target = pl.col(f"_{name}_stop_ticks"), pl.col(f"_{name}_target_ticks")
    has_bracket = (pl.col(f"_{name}_seen") != 0) & stop.is_not_null() & target.is_not_null()
    return has_bracket.alias(f"_{name}_has_bracket")


def _side(name: str) -> pl.Expr:
    """The setup's side: that of a geometry with a known bracket and enough belief, else 0."""
    is_setup = pl.col(f"_{name}_is_believed") & pl.col(f"_{name}_has_bracket")
    nowhere = pl.lit(0, dtype=pl.Int8)
    return pl.when(is_setup).then(f"_{name}_seen").otherwise(nowhere).alias(f"{name}_side")


def _has_conflict(names: list[str]) -> pl.Expr:
    """Do setups of opposite sides meet on this bar?"""
    sides = [pl.col(f"{name}_side") for name in names]
    return (largest(*sides) > 0) & (least(*sides) < 0)


def _bar_gates(rules: Rules) -> tuple[pl.Expr, ...]:
    """Gates that every template asks of the bar: `_is_tradable`, and `_is_calm` without a veto."""
    strategies = rules.strategies
    tradability = pl.col(f"{strategies.tradability_constraint.lower()}_effective")
    return (
        (tradability >= strategies.tradability_belief_min).alias("_is_tradable"),
        (~is_vetoed(rules)).alias("_is_calm"),
    )


def _step_if_believed(block: TemplateRules, rules: Rules) -> pl.Expr:
    """Ladder step of the geometry's first market-only no but its belief."""
    name = block.id.lower()
    stop = pl.col(f"_{name}_stop_ticks")
    friction_share = pl.col("friction_ticks") / pl.col(f"_{name}_target_ticks")
    gates = (
        (Reason.STOP_EXCEEDS_RISK_BUDGET, stop <= rules.constitution.stop_ticks_max),
        (Reason.BELIEF_TOO_LOW, pl.col("_is_tradable")),
        (Reason.STABILITY_NOT_MET, pl.col(f"_{name}_instability") <= block.instability_max),
        (Reason.NOISE_VETO, pl.col("_is_calm")),
        (Reason.FRICTION_TOO_HIGH, friction_share <= rules.decision.friction_share_max),
        (Reason.EDGE_SCORE_BELOW_THETA, pl.col(f"_{name}_euc") >= pl.col(f"_{name}_theta")),
    )
    bracketed = pl.when(f"_{name}_has_bracket").then(first_no(gates))
    return bracketed.otherwise(step_of(Reason.NO_CANDIDATE)).alias(f"{name}_step_if_believed")


def _step(name: str) -> pl.Expr:
    """Ladder step of the setup's first market-only no; without a setup, why there is none."""
    step = (
        pl.when(f"_{name}_is_setup")
        .then(f"{name}_step_if_believed")
        .when(f"_{name}_is_believed")
        .then(step_of(Reason.NO_CANDIDATE))
        .otherwise(step_of(Reason.BELIEF_TOO_LOW))
    )
    return step.alias(f"_{name}_step")


def _market_step(names: list[str]) -> pl.Expr:
    """The bar's own no, else that of the template that came furthest up the ladder.

    Setups count before templates without one: those only say why there is no setup at all.
    """
    steps = [pl.col(f"_{name}_step") for name in names]
    of_setups = [pl.when(f"_{name}_is_setup").then(f"_{name}_step") for name in names]
    furthest = pl.when("has_setup").then(largest(*of_setups))
    own = pl.col("_bar_step")
    return pl.when(own < PASSED).then(own).otherwise(furthest.otherwise(largest(*steps)))


def _setup(name: str) -> list[pl.Expr]:
    """The setup's numbers, null where there is none, and its reason in the ladder's word."""
    return [
        *(
            pl.when(f"_{name}_is_setup").then(f"_{name}_{what}").alias(f"{name}_{what}")
            for what in _OF_A_SETUP
        ),
        pl.lit(_REASONS).gather(pl.col(f"_{name}_step")).alias(f"{name}_reason"),
    ]
