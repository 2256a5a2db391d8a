"""K5: never enters; while the market is believed to be chop, nothing else does either."""

import polars as pl

from engine.rules import Rules


class NoiseFilter:
    """A `Veto` on the effective belief of the noise constraint."""

    id = "K5"

    def vetoes(self, rules: Rules) -> pl.Expr:
        """True at or above the contract's belief; null when the belief is unknown."""
        belief = pl.col(f"{rules.strategies.noise_constraint.lower()}_effective")
        return belief >= rules.strategies.noise_veto_belief


STRATEGY = NoiseFilter()
