"""The market's part of a setup's score: odds, edge, theta, and what is left after cost (EUC).

All in R, multiples of the setup's stop. Execution quality counts as perfect and learning as neutral
here; the decision takes off what they cost.
"""

from functools import reduce
from operator import add
from typing import Final

import polars as pl

from engine.biases import BiasModifier
from engine.gates import decided_minute
from engine.rules import Rules
from engine.units import Side

_MONDAY: Final = 1
_FRIDAY: Final = 5


def prior_p_win(name: str, rules: Rules) -> pl.Expr:
    """Probability of a template's target before its stop."""
    stop, target = pl.col(f"_{name}_stop_ticks"), pl.col(f"_{name}_target_ticks")
    return prior_odds(stop, target, pl.col(f"_{name}_belief"), rules)


def prior_odds(stop: pl.Expr, target: pl.Expr, belief: pl.Expr, rules: Rules) -> pl.Expr:
    """Probability of the target before the stop: a driftless walk's, moved by the belief."""
    beliefs = rules.beliefs
    moved = beliefs.prior_strength * (belief - beliefs.prior_median)
    return (stop / (stop + target) + moved).clip(beliefs.p_win_min, beliefs.p_win_max)


def edge(name: str) -> pl.Expr:
    """Expected result before uncertainty and cost."""
    p_win = pl.col(f"_{name}_p_win")
    reward = pl.col(f"_{name}_target_ticks") / pl.col(f"_{name}_stop_ticks")
    return p_win * reward - (1 - p_win)


def euc(name: str, rules: Rules) -> pl.Expr:
    """Edge less uncertainty less cost, with EQS = 1 and a learning modifier of 1."""
    decision = rules.decision
    shaken = (pl.col(f"_{name}_instability") / decision.instability_scale).clip(upper_bound=1.0)
    uncertainty = (
        pl.col("_doubt")
        + decision.weight_instability * shaken
        + decision.weight_belief * (1 - pl.col(f"_{name}_belief"))
    )
    cost = pl.col("friction_ticks") / pl.col(f"_{name}_stop_ticks")
    return pl.col(f"_{name}_edge") - uncertainty - cost


def doubt(rules: Rules) -> pl.Expr:
    """What doubtful data adds to the uncertainty of every score of the bar."""
    return rules.decision.weight_dvs * (1 - pl.col("dvs"))


def theta(name: str, rules: Rules) -> pl.Expr:
    """What the score has to reach: the bar's theta, the biases of the side, and a conflict."""
    decision, is_long = rules.decision, pl.col(f"_{name}_seen") > 0
    leaning = pl.when(is_long).then("_biases_long").otherwise("_biases_short")
    total = pl.col("_theta") + leaning + pl.col("_conflict")
    return total.clip(decision.theta_min, decision.theta_max)


def conflict_theta(has_conflict: pl.Expr, rules: Rules) -> pl.Expr:
    """What setups of opposite sides on one bar add to the theta of each."""
    return _amount_where(has_conflict, rules.decision.theta_conflict)


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
    signal, beyond = pl.col(modifier.signal), modifier.beyond
    above, below = signal >= beyond, signal <= -beyond
    along, against = (above, below) if side is Side.LONG else (below, above)
    return {"with": along, "against": against, "any": signal.abs() >= beyond}[modifier.side]


def _sum_where(additions: list[tuple[pl.Expr, float]]) -> pl.Expr:
    """Sum of the amounts whose condition holds; an unknown condition adds nothing."""
    amounts = [_amount_where(condition, amount) for condition, amount in additions]
    return reduce(add, amounts) if amounts else pl.lit(0.0)


def _amount_where(condition: pl.Expr, amount: float) -> pl.Expr:
    return pl.when(condition).then(amount).otherwise(0.0)
