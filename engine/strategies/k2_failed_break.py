"""K2: a break of the last hour's extreme has failed; trade back inside."""

from engine.rules import Rules
from engine.strategies.protocol import Detection
from engine.strategies.template import Template, beyond_extreme


class FailedBreak(Template):
    """The side of the failed break, with the stop beyond the extreme that the break reached."""

    id = "K2"

    def detect(self, rules: Rules) -> Detection:
        """A failed break stays a setup for a few bars."""
        return beyond_extreme(
            self.id.lower(),
            event="failed_break",
            extreme="failed_break_extreme_ticks",
            bars=int(self.setting(rules, "setup_bars")),
            beyond_ticks=self.setting(rules, "stop_beyond_ticks"),
            target_r=self.rules(rules).target_r,
            marketable_ticks_max=rules.execution.entry_marketable_ticks_max,
        )


STRATEGY = FailedBreak()
