"""K3: liquidity beyond an extreme was swept and rejected; trade with the rejection."""

from engine.rules import Rules
from engine.strategies.protocol import Detection
from engine.strategies.template import Template, beyond_extreme


class SweepReversal(Template):
    """The side of S31, with the stop beyond the sweep."""

    id = "K3"

    def detect(self, rules: Rules) -> Detection:
        """A rejected sweep stays a setup for a bar or two."""
        return beyond_extreme(
            self.id.lower(),
            event="sweep_reversal_score",
            extreme="sweep_extreme_ticks",
            bars=int(self.setting(rules, "setup_bars")),
            beyond_ticks=self.setting(rules, "stop_beyond_ticks"),
            target_r=self.rules(rules).target_r,
            marketable_ticks_max=rules.execution.entry_marketable_ticks_max,
        )


STRATEGY = SweepReversal()
