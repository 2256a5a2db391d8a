"""Measurements of the session so far that several signals share: VWAP, extremes, sums and runs."""

import polars as pl

from engine.measures import (
    BREAK_BARS,
    Passes,
    first_of_session,
    lag,
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


def measure_passes() -> Passes:
    """Passes over a frame with quality columns; those that start with `_` are dropped once signals
    exist.
    """
    return side_by_side(_vwap(), _extremes(), _sums(), _runs())


def _vwap() -> Passes:
    gap = typical_gap(first_of_session(pl.col("open_ticks")))
    volume = pl.col("volume")
    is_traded = pl.col("_session_volume") > 0
    offset = pl.col("_gap_volume_sum") / (3 * pl.col("_session_volume"))
    slope = ols_slope("vwap_ticks", VWAP_SLOPE_BARS)
    return (
        (
            first_of_session(pl.col("open_ticks")).alias("_session_open_ticks"),
            (gap * volume).alias("_gap_volume"),
            (gap * gap * volume).alias("_gap_squared_volume"),
        ),
        (running_total("_gap_volume"), running_total("_gap_squared_volume")),
        (
            total_since("volume", "_start").alias("_session_volume"),
            total_since("_gap_volume", "_start").alias("_gap_volume_sum"),
            total_since("_gap_squared_volume", "_start").alias("_gap_squared_sum"),
        ),
        (
            pl.when(is_traded).then(pl.col("_session_open_ticks") + offset).alias("vwap_ticks"),
            vw_deviation("_session_volume", "_gap_volume_sum", "_gap_squared_sum").alias(
                "vwap_deviation_ticks"
            ),
        ),
        (
            # Once known, VWAP stays known: a window is whole when its first bar is.
            pl.when(lag("vwap_ticks", VWAP_SLOPE_BARS - 1).is_not_null())
            .then(slope)
            .alias("_vwap_slope"),
        ),
    )


def _extremes() -> Passes:
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
            pl.col("high_ticks").cum_max().over("session_key").alias("_session_high_ticks"),
            pl.col("low_ticks").cum_min().over("session_key").alias("_session_low_ticks"),
            last_forming.alias("_opening_row"),
        ),
        tuple(
            pl.when(is_formed)
            .then(pl.col(f"_session_{side}_ticks").gather(pl.col("_opening_row")))
            .alias(f"_opening_{side}_ticks")
            for side in ("high", "low")
        ),
    )


def _sums() -> Passes:
    high, low = pl.col("high_ticks"), pl.col("low_ticks")
    is_up = (high > lag("high_ticks", 1)) & (low > lag("low_ticks", 1))
    is_down = (high < lag("high_ticks", 1)) & (low < lag("low_ticks", 1))
    structure = is_up.cast(pl.Int64) - is_down.cast(pl.Int64)
    has_effort = pl.col("session_bar") >= EFFORT_BARS - 1
    return (
        (
            (pl.col("close_ticks") - pl.col("open_ticks")).alias("_body_ticks"),
            structure.fill_null(0).alias("_structure"),
            pl.col("_change").abs().alias("_path"),
            ols_slope("volume", EFFORT_BARS).alias("_volume_slope"),
        ),
        (running_total("_structure"), running_total("_path")),
        (
            total_since("_structure", "_from_30").alias("_structure_sum"),
            total_since("_path", "_from_30").alias("_path_sum"),
            *(
                pl.when(has_effort)
                .then(total_since(name, "_from_20") / EFFORT_BARS)
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
