"""Near misses: how far a setup would have come had its belief reached its minimum.

The journal's counterfactual is made of this: a bar whose only fault is belief is worth knowing
apart from one where the setup would have failed the next gate as well.
"""

import polars as pl

from engine.gates import first_no, step_of
from engine.ladder import Reason
from engine.rules import Rules, TemplateRules
from engine.scores import prior_p_win


def step_if_believed(block: TemplateRules, rules: Rules) -> pl.Expr:
    """Ladder step (Int8) of a template's first market-only no once its belief reached its minimum.

    `PASSED` when belief is all that is missing, `NO_CANDIDATE` where its geometry names no setup.
    Reads the scratch columns of `candidates`: geometry, stop, target, theta and biases.
    """
    name, decision, strategies = block.id.lower(), rules.decision, rules.strategies
    prefix, seen = block.constraint.lower(), pl.col(f"_{name}_seen")
    stop, target = pl.col(f"_{name}_stop"), pl.col(f"_{name}_target")
    belief = pl.max_horizontal(f"{name}_belief", pl.lit(block.belief_min))
    instability = _of_side(seen, f"{prefix}_long_instability", f"{prefix}_short_instability")
    theta = pl.col("_theta") + _of_side(seen, "_biases_long", "_biases_short")
    friction = pl.col("friction_ticks")
    p_win = prior_p_win(stop, target, belief, rules)
    shaken = (instability / decision.instability_scale).clip(upper_bound=1.0)
    euc = (
        p_win * (target / stop)
        - (1 - p_win)
        - decision.weight_dvs * (1 - pl.col("dvs"))
        - decision.weight_instability * shaken
        - decision.weight_belief * (1 - belief)
        - friction / stop
    )
    tradability = pl.col(f"{strategies.tradability_constraint.lower()}_effective")
    gates = (
        (Reason.STOP_EXCEEDS_RISK_BUDGET, stop <= rules.constitution.stop_ticks_max),
        (Reason.BELIEF_TOO_LOW, tradability >= strategies.tradability_belief_min),
        (Reason.STABILITY_NOT_MET, instability <= block.instability_max),
        (Reason.NOISE_VETO, ~pl.col("_is_vetoed")),
        (Reason.FRICTION_TOO_HIGH, friction / target <= decision.friction_share_max),
        (
            Reason.EDGE_SCORE_BELOW_THETA,
            euc >= theta.clip(decision.theta_min, decision.theta_max),
        ),
    )
    is_seen = (seen != 0) & stop.is_not_null() & target.is_not_null()
    step = pl.when(is_seen).then(first_no(gates)).otherwise(step_of(Reason.NO_CANDIDATE))
    return step.alias(f"{name}_step_if_believed")


def _of_side(seen: pl.Expr, long: str, short: str) -> pl.Expr:
    return pl.when(seen > 0).then(pl.col(long)).otherwise(pl.col(short))
