"""Candidates: what the market alone would allow, per template and bar, and the first no of each.

A template has a *setup* on a bar when its geometry names a side and its constraint is believed on
that side. Every gate that needs only the market is judged here, in the order of the ladder. What
depends on us can only remove candidates, so a bar without `may_enter` can never become an entry.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from engine.beliefs import SIDE_NAMES, streams
from engine.gates import (
    bar_step,
    first_no,
    lockout_memory,
    minutes_to_close,
    step_of,
)
from engine.ladder import LADDER, PASSED, Reason
from engine.measures import Passes, add_passes, per_rules
from engine.near_miss import step_if_believed
from engine.rules import Rules, TemplateRules
from engine.scores import bar_theta, biases, edge_and_theta, euc, prior_p_win
from engine.strategies.protocol import Strategy
from engine.strategies.registry import templates, vetoes
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

_SCRATCH: Final = "^_.*$"
_REASONS: Final = pl.Series([*(reason.value for reason in LADDER), None], dtype=pl.String)


def add_candidates(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Every template's setup and score, and the bar's first market-only no.

    Per template the columns of `SETUP_COLUMNS`: `side` is 0 without a setup, and then all numbers
    are null but `belief`, the more believed side's. Per bar: `minutes_to_close`, `market_step` (an
    index into `LADDER`, `PASSED` if none), `has_setup`, `may_enter` and `minutes_since_…` for each
    lockout. Scores assume EQS = 1 and a learning modifier of 1. Reads quality, signals, beliefs and
    the context's `session_minutes`.
    """
    frame = add_passes(frame, _passes(rules))
    return frame.drop(pl.selectors.matches(_SCRATCH))


@per_rules
def _passes(rules: Rules) -> Passes:
    """The stages of the computation; each reads only columns of the stages before it."""
    found = templates(rules)
    blocks = rules.strategies.templates
    names = [block.id.lower() for block in blocks]
    return (
        (
            minutes_to_close().alias("minutes_to_close"),
            *lockout_memory(rules),
            *(_geometry(template, rules) for template in found),
        ),
        (
            bar_step(rules).alias("_bar_step"),
            bar_theta(rules).alias("_theta"),
            *(biases(rules, side).alias(f"_biases_{SIDE_NAMES[side]}") for side in Side),
            is_vetoed(rules).alias("_is_vetoed"),
            *(_believed(block, rules) for block in blocks),
            *(_stop(template, rules) for template in found),
        ),
        tuple(_target(template, rules) for template in found),
        tuple(_side(block) for block in blocks),
        (
            _has_conflict(names).alias("_has_conflict"),
            pl.any_horizontal(pl.col(f"{name}_side") != 0 for name in names).alias("has_setup"),
            *(expression for block in blocks for expression in _setup(block, rules)),
        ),
        tuple(expression for name in names for expression in edge_and_theta(name, rules)),
        tuple(euc(name, rules) for name in names),
        tuple(
            step
            for block in blocks
            for step in (_template_step(block, rules), step_if_believed(block, rules))
        ),
        (
            *(_reason_name(pl.col(f"_{name}_step")).alias(f"{name}_reason") for name in names),
            _market_step(names).alias("market_step"),
        ),
        ((pl.col("market_step") == PASSED).alias("may_enter"),),
    )


def _geometry(template: Strategy, rules: Rules) -> pl.Expr:
    """Side that the template's setup names, before its belief is asked; 0 for none."""
    side = template.detect(rules).side.cast(pl.Int8).fill_null(0)
    return side.alias(f"_{template.id.lower()}_seen")


def _by_side(name: str, long: pl.Expr, short: pl.Expr, otherwise: pl.Expr | None) -> pl.Expr:
    seen = pl.col(f"_{name}_seen")
    return pl.when(seen > 0).then(long).when(seen < 0).then(short).otherwise(otherwise)


def _believed(block: TemplateRules, rules: Rules) -> pl.Expr:
    """Effective belief of the setup's side; without one, the more believed side's."""
    long, short = (pl.col(f"{prefix}_effective") for prefix in _prefixes(block, rules))
    name = block.id.lower()
    return _by_side(name, long, short, pl.max_horizontal(long, short)).alias(f"{name}_belief")


def _prefixes(block: TemplateRules, rules: Rules) -> list[str]:
    """Column prefixes of the template's constraint, long and short."""
    constraint = next(c for c in rules.beliefs.constraints if c.id == block.constraint)
    return [prefix for prefix, _ in streams(constraint)]


def _stop(template: Strategy, rules: Rules) -> pl.Expr:
    """Whole ticks the stop needs on the setup's side, never below the contract's minimum."""
    name = template.id.lower()
    return stop_ticks(template, pl.col(f"_{name}_seen"), rules).alias(f"_{name}_stop")


def _target(template: Strategy, rules: Rules) -> pl.Expr:
    name = template.id.lower()
    seen, stop = pl.col(f"_{name}_seen"), pl.col(f"_{name}_stop")
    return target_ticks(template, seen, stop, rules).alias(f"_{name}_target")


def stop_ticks(template: Strategy, side: pl.Expr, rules: Rules) -> pl.Expr:
    """A template's stop distance on a side in whole ticks (Int32), at least the minimum."""
    needed = template.detect(rules).stop_ticks(side).ceil().cast(pl.Int32)
    return needed.clip(lower_bound=rules.strategies.stop_ticks_min)


def target_ticks(template: Strategy, side: pl.Expr, stop: pl.Expr, rules: Rules) -> pl.Expr:
    """A template's target distance on a side in whole ticks (Int32)."""
    return template.detect(rules).target_ticks(side, stop).ceil().cast(pl.Int32)


def _side(block: TemplateRules) -> pl.Expr:
    """The setup's side where it is believed and its bracket is known, else 0."""
    name = block.id.lower()
    is_setup = (
        (pl.col(f"{name}_belief") >= block.belief_min)
        & pl.col(f"_{name}_stop").is_not_null()
        & pl.col(f"_{name}_target").is_not_null()
    )
    side = pl.when(is_setup).then(pl.col(f"_{name}_seen")).otherwise(pl.lit(0, dtype=pl.Int8))
    return side.alias(f"{name}_side")


def _has_conflict(names: list[str]) -> pl.Expr:
    """Do setups of opposite sides meet on this bar?"""
    sides = [pl.col(f"{name}_side") for name in names]
    return (pl.max_horizontal(sides) > 0) & (pl.min_horizontal(sides) < 0)


def _setup(block: TemplateRules, rules: Rules) -> list[pl.Expr]:
    """Stop, target, instability and prior probability of the setup; null where there is none."""
    name = block.id.lower()
    is_setup = pl.col(f"{name}_side") != 0
    long, short = (pl.col(f"{prefix}_instability") for prefix in _prefixes(block, rules))
    stop, target = pl.col(f"_{name}_stop"), pl.col(f"_{name}_target")
    values = {
        "stop_ticks": stop,
        "target_ticks": target,
        "instability": _by_side(name, long, short, None),
        "p_win": prior_p_win(stop, target, pl.col(f"{name}_belief"), rules),
    }
    return [
        pl.when(is_setup).then(value).alias(f"{name}_{column}") for column, value in values.items()
    ]


def is_vetoed(rules: Rules) -> pl.Expr:
    """Does any veto forbid every entry of the bar? An unknown one does."""
    forbids = [veto.vetoes(rules).fill_null(value=True) for veto in vetoes()]
    return pl.any_horizontal(pl.lit(value=False), *forbids)


def _template_step(block: TemplateRules, rules: Rules) -> pl.Expr:
    """Ladder step of the setup's first market-only no; without a setup, why there is none."""
    name, strategies = block.id.lower(), rules.strategies
    friction_share = pl.col("friction_ticks") / pl.col(f"{name}_target_ticks")
    tradability = pl.col(f"{strategies.tradability_constraint.lower()}_effective")
    gates = (
        (
            Reason.STOP_EXCEEDS_RISK_BUDGET,
            pl.col(f"{name}_stop_ticks") <= rules.constitution.stop_ticks_max,
        ),
        (Reason.BELIEF_TOO_LOW, tradability >= strategies.tradability_belief_min),
        (Reason.STABILITY_NOT_MET, pl.col(f"{name}_instability") <= block.instability_max),
        (Reason.NOISE_VETO, ~pl.col("_is_vetoed")),
        (Reason.FRICTION_TOO_HIGH, friction_share <= rules.decision.friction_share_max),
        (Reason.EDGE_SCORE_BELOW_THETA, pl.col(f"{name}_euc") >= pl.col(f"{name}_theta")),
    )
    sides = [pl.col(f"{prefix}_effective") for prefix in _prefixes(block, rules)]
    is_believed = pl.max_horizontal(sides) >= block.belief_min
    without = (
        pl.when(is_believed)
        .then(step_of(Reason.NO_CANDIDATE))
        .otherwise(step_of(Reason.BELIEF_TOO_LOW))
    )
    is_setup = pl.col(f"{name}_side") != 0
    return pl.when(is_setup).then(first_no(gates)).otherwise(without).alias(f"_{name}_step")


def _market_step(names: list[str]) -> pl.Expr:
    """The bar's own no, else that of the template that came furthest up the ladder.

    Setups count before templates without one: those only say why there is no setup at all.
    """
    furthest = pl.max_horizontal(
        pl.when(pl.col(f"{name}_side") != 0).then(pl.col(f"_{name}_step")) for name in names
    )
    without = pl.max_horizontal(f"_{name}_step" for name in names)
    of_templates = pl.when(pl.col("has_setup")).then(furthest).otherwise(without)
    own = pl.col("_bar_step")
    return pl.when(own < PASSED).then(own).otherwise(of_templates)


def _reason_name(step: pl.Expr) -> pl.Expr:
    """The ladder's word for a step, null for `PASSED`."""
    return pl.lit(_REASONS).gather(step)
