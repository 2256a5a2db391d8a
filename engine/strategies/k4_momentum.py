"""K4: participation carries a break on; trade with the trend."""

import polars as pl

from engine.rules import Rules
from engine.strategies.protocol import Detection
from engine.strategies.template import Template, within


class Momentum(Template):
    """The side of S5, while a break of the hour's or the opening range is fresh."""

    id = "K4"

    def detect(self, rules: Rules) -> Detection:
        """Stop a multiple of ATR14, target a multiple of the stop."""
        bars = int(self.setting(rules, "setup_bars"))
        breakout_min = self.setting(rules, "breakout_min")
        stop_atr = self.setting(rules, "stop_atr")
        target_r = self.rules(rules).target_r
        breaks = ("breakout_distance_n", "opening_range_break")
        is_fresh = pl.any_horizontal(
            within(pl.col(signal).abs() >= breakout_min, bars) for signal in breaks
        )
        return Detection(
            side=pl.when(is_fresh).then(pl.col("hhll_trend_strength").sign()),
            stop_ticks=lambda _side: stop_atr * pl.col("atr_14_ticks"),
            target_ticks=lambda _side, stop: target_r * stop,
        )


STRATEGY = Momentum()
