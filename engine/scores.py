"""The market's part of a setup's score: odds, edge, theta, and what is left after cost (EUC).

All in R, multiples of the setup's stop. Execution quality counts as perfect and learning as neutral
here; the decision takes off what they cost.
"""

from typing import Final

import polars as pl

from engine.gates import decided_minute
from engine.rules import BiasModifier, Rules
from engine.units import Side

_MONDAY: Final = 1
_FRIDAY: Final = 5


def prior_p_win(stop: pl.Expr, target: pl.Expr, belief: pl.Expr, rules: Rules) -> pl.Expr:
    """Probability of the target before the stop: a driftless walk's, moved by the belief."""
    beliefs = rules.beliefs
    driftless = stop / (stop + target)
    moved = driftless + beliefs.prior_strength * (belief - beliefs.prior_median)
    return moved.clip(beliefs.p_win_min, beliefs.p_win_max)


def edge_and_theta(name: str, rules: Rules) -> tuple[pl.Expr, ...]:
    """Edge in R, and the theta that the setup's score has to reach."""
    p_win, side = pl.col(f"{name}_p_win"), pl.col(f"{name}_side")
    reward = pl.col(f"{name}_target_ticks") / pl.col(f"{name}_stop_ticks")
    leaning = pl.when(side > 0).then(pl.col("_biases_long")).otherwise(pl.col("_biases_short"))
    conflict = pl.col("_has_conflict").cast(pl.Float64) * rules.decision.theta_conflict
    theta = (pl.col("_theta") + leaning + conflict).clip(
        rules.decision.theta_min, rules.decision.theta_max
    )
    return (
        (p_win * reward - (1 - p_win)).alias(f"{name}_edge"),
        pl.when(side != 0).then(theta).alias(f"{name}_theta"),
    )


def euc(name: str, rules: Rules) -> pl.Expr:
    """Edge less uncertainty less cost, in R, with EQS = 1 and learning modifier 1."""
    decision = rules.decision
    shaken = (pl.col(f"{name}_instability") / decision.instability_scale).clip(upper_bound=1.0)
    uncertainty = (
        decision.weight_dvs * (1 - pl.col("dvs"))
        + decision.weight_instability * shaken
        + decision.weight_belief * (1 - pl.col(f"{name}_belief"))
    )
    cost = pl.col("friction_ticks") / pl.col(f"{name}_stop_ticks")
    return (pl.col(f"{name}_edge") - uncertainty - cost).alias(f"{name}_euc")


def bar_theta(rules: Rules) -> pl.Expr:
    """Theta of the bar before what depends on the side: time of day, weekday and regime."""
    decision = rules.decision
    minute, weekday = decided_minute(), pl.col("session_date").dt.weekday()
    late = max(rules.session.no_entry_minutes_before_end, rules.session.flatten_minutes_before_end)
    is_friday_afternoon = (weekday == _FRIDAY) & (minute >= decision.friday_afternoon_from_minute)
    additions = [
        *(
            (
                minute.is_between(window.from_minute, window.until_minute, closed="left"),
                window.theta,
            )
            for window in decision.theta_windows
        ),
        (pl.col("minutes_to_close") <= late + decision.theta_last_minutes, decision.theta_last),
        (weekday == _MONDAY, decision.theta_monday),
        (is_friday_afternoon, decision.theta_friday_afternoon),
        (pl.col("regime") == "volatile", decision.theta_volatile),
        (pl.col("regime") == "quiet", decision.theta_quiet),
        (pl.col("range_compression") < decision.compression_below, decision.theta_compression),
    ]
    return decision.theta_base + _sum_where(additions)


def biases(rules: Rules, side: Side) -> pl.Expr:
    """What the documented biases add to theta for an entry on `side`; their sum is bounded too."""
    bound = rules.biases.theta_abs_max
    additions = [
        (_is_biased(modifier, side), modifier.theta) for modifier in rules.biases.modifiers
    ]
    return _sum_where(additions).clip(-bound, bound)


def _is_biased(modifier: BiasModifier, side: Side) -> pl.Expr:
    signal = pl.col(modifier.signal)
    leaning = {"with": signal * int(side), "against": signal * -int(side), "any": signal.abs()}
    return leaning[modifier.side] >= modifier.beyond


def _sum_where(additions: list[tuple[pl.Expr, float]]) -> pl.Expr:
    """Sum of the amounts whose condition holds; an unknown condition adds nothing."""
    return pl.sum_horizontal(
        [pl.lit(0.0), *(condition.cast(pl.Float64) * amount for condition, amount in additions)]
    )
