"""The data validity score (DVS): which doubts a bar raises, what they cost, and which bars are true
shocks.
"""

from datetime import timedelta
from functools import reduce
from operator import add, and_
from typing import Final

import polars as pl

from engine.measures import (
    VOLUME_BARS_MIN,
    Passes,
    Within,
    add_passes,
    atr_passes,
    per_rules,
    running_total,
    side_by_side,
    volume_passes,
    within_of,
)
from engine.rules import DataRules, Rules

QUALITY_EVENTS: Final = (
    "missing_gap",
    "time_regression",
    "stuck_feed",
    "zero_volume",
    "outlier_no_shock",
    "late_bar",
    "spread_anomaly",
    "crossed_quote",
    "missing_quote",
    "price_band",
)
"""Event names, in the order in which `quality_events` lists them."""

_MINUTE_US: Final = 60_000_000
_SCORE_DIGITS: Final = (
    6  # Penalties are decimal shares: without rounding, 1 − 0.15 − 0.05 is below 0.80.
)


def add_quality(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Bars joined with their context → true range, ATRs, `volume_z`, events, `bar_score`, `dvs`,
    `is_shock`.

    An event whose inputs are unknown does not hold: a quote that never was is not crossed. ATR here
    and in every signal includes the bar it stands on. Source: `contracts/data.yaml`.
    """
    return add_passes(frame, quality_passes(rules, within_of(frame)))


@per_rules
def quality_passes(rules: Rules, within: Within) -> Passes:
    """The passes of the computation; each reads only columns of the passes before it."""
    bits = reduce(
        add,
        (
            pl.when(holds).then(1 << place).otherwise(0)
            for place, holds in enumerate(event_conditions(rules).values())
        ),
    )
    names, scores = _tables(rules.data)
    measures = side_by_side(
        atr_passes(within), volume_passes(), _shock_passes(rules.data), _event_passes()
    )
    judged = (
        bits.alias("_event_bits"),
        _shock(rules.data).fill_null(value=False).alias("is_shock"),
    )
    scored = (
        pl.lit(names).gather(pl.col("_event_bits")).alias("quality_events"),
        pl.lit(scores).gather(pl.col("_event_bits")).alias("bar_score"),
    )
    dvs = within(pl.col("bar_score").rolling_min(rules.data.window_bars, min_samples=1))
    return (*measures, judged, scored, (dvs.alias("dvs"),))


def event_conditions(rules: Rules) -> dict[str, pl.Expr]:
    """When each event of `QUALITY_EVENTS` holds; null where its inputs are unknown.

    A missing quote counts only once the session has shown that its source has quotes.
    """
    data = rules.data
    late = pl.col("arrived_at") - pl.col("closes_at")
    band = rules.instrument.price_band_share * pl.col("prior_close_ticks")
    waited, spread = pl.col("_waited"), pl.col("_quoted_spread_ticks")
    conditions = {
        "missing_gap": waited > timedelta(seconds=data.missing_gap_seconds),
        "time_regression": waited <= timedelta(),
        "stuck_feed": _stuck_feed(data),
        "zero_volume": pl.col("volume") == 0,
        "outlier_no_shock": (
            pl.col("true_range_ticks") > data.outlier_atr_multiple * pl.col("atr_30_ticks")
        )
        & (pl.col("volume_z") < data.outlier_volume_z),
        "late_bar": late > timedelta(seconds=data.late_bar_seconds),
        "spread_anomaly": spread > data.spread_anomaly_ticks,
        "crossed_quote": spread <= 0,
        "missing_quote": spread.is_null() & (pl.col("_last_quote_row") >= pl.col("_start")),
        "price_band": (pl.col("close_ticks") - pl.col("prior_close_ticks")).abs() > band,
    }
    return {name: conditions[name] for name in QUALITY_EVENTS}


def _event_passes() -> Passes:
    """What the events look at: time since the last close, or since the open, and the quote."""
    since_open = pl.col("minute").cast(pl.Int64) * _MINUTE_US + _MINUTE_US
    waited = pl.col("closes_at") - pl.col("closes_at").shift()
    has_quote = pl.col("_quoted_spread_ticks").is_not_null()
    return (
        (
            pl.when(pl.col("session_bar") == 0)
            .then(since_open.cast(pl.Duration("us")))
            .otherwise(waited)
            .alias("_waited"),
            (pl.col("ask_ticks") - pl.col("bid_ticks")).alias("_quoted_spread_ticks"),
        ),
        (pl.when(has_quote).then(pl.col("_row")).forward_fill().alias("_last_quote_row"),),
    )


def _shock_passes(data: DataRules) -> Passes:
    change = pl.col("close_ticks") - pl.col("_close_before_ticks")
    is_frozen = (pl.col("high_ticks") == pl.col("low_ticks")) & (pl.col("volume") > 0)
    is_same = pl.col("close_ticks") == pl.col("_close_before_ticks")
    return (
        (is_frozen.alias("_is_frozen"),),
        (
            change.fill_null(0).cast(pl.Int64).alias("_change"),
            (pl.col("_is_frozen") & pl.col("_is_frozen").shift() & is_same).alias("_repeats"),
        ),
        (pl.col("_change").pow(2).alias("_change_squared"),),
        (running_total("_change_squared"),),
        (_change_deviation(data).alias("_change_deviation"),),
    )


def _stuck_feed(data: DataRules) -> pl.Expr:
    """The last bars each had volume at one price only, and it was the same price.

    A session's first bar repeats nothing, so a run of repeats never leaves the session.
    """
    repeats = [pl.col("_repeats").shift(back) for back in range(data.stuck_feed_bars - 1)]
    return reduce(and_, repeats, pl.col("_is_frozen"))


def _change_deviation(data: DataRules) -> pl.Expr:
    """Population deviation in ticks of close-to-close changes over the session's last bars, at
    least 20.
    """
    bars = data.shock_deviation_bars
    count = pl.min_horizontal(pl.col("session_bar"), bars)
    first = pl.max_horizontal("_start", pl.col("_row") - bars)
    change = pl.col("close_ticks") - pl.col("close_ticks").gather(first)
    total = pl.col("_change_squared_total")
    squares = total - total.gather(first)
    mean = change / count
    deviation = (squares / count - mean * mean).clip(lower_bound=0).sqrt()
    return pl.when(pl.col("session_bar") >= VOLUME_BARS_MIN).then(deviation)


def _shock(data: DataRules) -> pl.Expr:
    body = (pl.col("close_ticks") - pl.col("open_ticks")).abs()
    return (
        (pl.col("true_range_ticks") > data.shock_atr_multiple * pl.col("atr_30_ticks"))
        & (pl.col("volume_z") > data.shock_volume_z)
        & (body > data.shock_body_deviations * pl.col("_change_deviation"))
    )


def _tables(data: DataRules) -> tuple[pl.Series, pl.Series]:
    """Names and score of every possible set of events, indexed by its bits."""
    names, scores = [], []
    for bits in range(1 << len(QUALITY_EVENTS)):
        events = [name for place, name in enumerate(QUALITY_EVENTS) if bits >> place & 1]
        names.append(",".join(events))
        penalty = sum(data.penalties[name] for name in events)
        scores.append(min(1.0, max(0.0, round(1.0 - penalty, _SCORE_DIGITS))))
    return pl.Series(names), pl.Series(scores)
