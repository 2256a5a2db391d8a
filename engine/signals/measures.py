"""Measurements of the session so far that several signals share: VWAP, extremes, sums and runs."""

import polars as pl

from engine.measures import (
    BREAK_BARS,
    Passes,
    Within,
    first_of_session,
    ols_slope,
    running_total,
    side_by_side,
    total_since,
    typical_gap,
    vw_deviation,
)

OPENING_RANGE_MINUTES = 30
VWAP_SLOPE_BARS = 30
EFFORT_BARS = 20


def measure_passes(within: Within) -> Passes:
    """Passes over a frame with quality columns; those that start with `_` are dropped once signals
    exist.
    """
    return side_by_side(_vwap(), _extremes(within), _sums(), _runs())


def _vwap() -> Passes:
    """VWAP and deviation from exact sums of volume x distance from the session's open."""
    gap, volume = pl.col("_typical_gap"), pl.col("volume")
    traded = pl.col("_session_volume")
    slope = ols_slope("vwap_ticks", VWAP_SLOPE_BARS)
    return (
        (first_of_session(pl.col("open_ticks")).alias("_session_open_ticks"),),
        (typical_gap(pl.col("_session_open_ticks")).alias("_typical_gap"),),
        ((gap * volume).alias("_gap_volume"), (gap * gap * volume).alias("_gap_squared_volume")),
        (running_total("_gap_volume"), running_total("_gap_squared_volume")),
        (total_since("volume", "_start").alias("_session_volume"),),
        (pl.when(traded > 0).then(traded).alias("_session_volume"),),
        (
            (total_since("_gap_volume", "_start") / traded).alias("_mean_gap"),
            (total_since("_gap_squared_volume", "_start") / traded).alias("_mean_gap_squared"),
        ),
        (
            (pl.col("_session_open_ticks") + pl.col("_mean_gap") * (1 / 3)).alias("vwap_ticks"),
            vw_deviation("_mean_gap", "_mean_gap_squared").alias("vwap_deviation_ticks"),
        ),
        (
            # Once known, VWAP stays known: a window is whole when its first bar is.
            pl.when(pl.col("vwap_ticks").shift(VWAP_SLOPE_BARS - 1).is_not_null())
            .then(slope)
            .alias("_vwap_slope"),
        ),
    )


def _extremes(within: Within) -> Passes:
    """High and low of the 60 bars before, of the session so far, and of its first 30 minutes."""
    has_window = pl.col("session_bar") >= BREAK_BARS
    forming = pl.col("minute") < OPENING_RANGE_MINUTES
    last_forming = pl.when(forming).then(pl.col("_row")).forward_fill()
    is_formed = ~forming & (pl.col("_opening_row") >= pl.col("_start"))
    return (
        (
            pl.when(has_window)
            .then(pl.col("high_ticks").rolling_max(BREAK_BARS).shift())
            .alias("_prior_high_ticks"),
            pl.when(has_window)
            .then(pl.col("low_ticks").rolling_min(BREAK_BARS).shift())
            .alias("_prior_low_ticks"),
            within(pl.col("high_ticks").cum_max()).alias("_session_high_ticks"),
            within(pl.col("low_ticks").cum_min()).alias("_session_low_ticks"),
            last_forming.alias("_opening_row"),
        ),
        tuple(
            pl.when(is_formed)
            .then(pl.col(f"_session_{side}_ticks").gather(pl.col("_opening_row")))
            .alias(f"opening_{side}_ticks")
            for side in ("high", "low")
        ),
    )


def _sums() -> Passes:
    """Sums over windows of direction, path, volume and true range; +1 is a higher high and low."""
    turn = pl.col("_high_turn")
    follows = (turn == pl.col("_low_turn")) & (pl.col("session_bar") > 0)
    has_effort = pl.col("session_bar") >= EFFORT_BARS - 1
    return (
        (
            pl.col("high_ticks").diff().sign().alias("_high_turn"),
            pl.col("low_ticks").diff().sign().alias("_low_turn"),
            (pl.col("close_ticks") - pl.col("open_ticks")).alias("_body_ticks"),
            pl.col("_change").abs().alias("_path"),
            ols_slope("volume", EFFORT_BARS).alias("_volume_slope"),
        ),
        (
            pl.when(follows).then(turn).otherwise(0).alias("_structure"),
            pl.col("_body_ticks").sign().alias("_body_sign"),
        ),
        (running_total("_structure"), running_total("_path")),
        (
            total_since("_structure", "_from_30").alias("_structure_sum"),
            total_since("_path", "_from_30").alias("_path_sum"),
            *(
                pl.when(has_effort)
                .then(total_since(name, "_from_20") * (1 / EFFORT_BARS))
                .alias(f"_{name}_mean")
                for name in ("volume", "true_range_ticks")
            ),
        ),
    )


def _runs() -> Passes:
    """Signed length of the run of closes in one direction; an unchanged close has no direction."""
    direction = pl.col("_change").sign()
    turned = direction.ne(direction.shift()) | (pl.col("session_bar") == 0)
    before = pl.when(turned).then(pl.col("_row")).forward_fill() - 1
    return ((((pl.col("_row") - before) * direction).alias("_signed_run"),),)
