"""K1: price is stretched from value; trade back to VWAP."""

import polars as pl

from engine.rules import Rules
from engine.strategies.protocol import Detection
from engine.strategies.template import Template


class VwapReversion(Template):
    """Against S1 beyond its threshold; the target is VWAP itself, between two bounds."""

    id = "K1"

    def detect(self, rules: Rules) -> Detection:
        """Stop a multiple of ATR14; target the distance to VWAP, at least `target_r` stops."""
        vwap_z = pl.col("vwap_z")
        stop_atr = self.setting(rules, "stop_atr")
        target_r = self.rules(rules).target_r
        target_ticks_max = self.setting(rules, "target_ticks_max")

        def target_ticks(side: pl.Expr, stop: pl.Expr) -> pl.Expr:
            to_vwap = side * (pl.col("vwap_ticks") - pl.col("close_ticks"))
            least = (target_r * stop).ceil()
            target = pl.max_horizontal(to_vwap.floor(), least).clip(upper_bound=target_ticks_max)
            return pl.when(stop.is_not_null()).then(target)  # A maximum would skip the null.

        return Detection(
            side=pl.when(vwap_z.abs() >= self.setting(rules, "vwap_z_min")).then(-vwap_z.sign()),
            stop_ticks=lambda _side: stop_atr * pl.col("atr_14_ticks"),
            target_ticks=target_ticks,
        )


STRATEGY = VwapReversion()
