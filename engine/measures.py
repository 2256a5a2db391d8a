"""Shared measurements of the bars of a session, as Polars expressions that restart at its first
bar.

Three rules keep a row equal to the bit whether it is computed on one session, on many or on the
bars so far: sums that run across sessions are sums of integers; a rolling kernel over floats either
runs inside one session (`.over`) or holds no state between rows; and a row reads only rows above it
of its own session.

A fourth is a habit: multiply by `1 / n`, never divide by a number. Polars divides a column by the
number's reciprocal, but a frame of one row, a live session's first bar, by the number itself.
"""

from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import numpy as np
import polars as pl

from engine.rules import Rules

ATR_LENGTHS: Final = (5, 14, 30)
BREAK_BARS: Final = 60
VOLUME_BARS: Final = 60
VOLUME_BARS_MIN: Final = 20
VWAP_DEVIATION_TICKS_MIN: Final = 2.0

_KEPT_RULES: Final = 8
MANY_RULES: Final = 256
"""For what is small, and asked for under as many rules as a sweep has side by side."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def per_rules(
    build: Callable[Concatenate[Rules, _P], _T], *, kept_max: int = _KEPT_RULES
) -> Callable[Concatenate[Rules, _P], _T]:
    """Keep what is built from a `Rules` value, so that a live bar does not build its expressions
    again.

    Rules are told apart by identity: they hold mappings, and two values with one contracts hash may
    differ in a test. Further arguments are told apart by value. At most `kept_max` are kept.
    """
    kept: dict[tuple[object, ...], tuple[Rules, _T]] = {}

    def cached(rules: Rules, /, *more: _P.args, **named: _P.kwargs) -> _T:
        key = (id(rules), *more, *named.items())
        entry = kept.get(key)
        if entry is None or entry[0] is not rules:
            while len(kept) >= kept_max:
                kept.pop(next(iter(kept)))
            entry = kept[key] = (rules, build(rules, *more, **named))
        return entry[1]

    return cached


Within = Callable[[pl.Expr], pl.Expr]
"""Keeps an expression with a memory inside each session of a frame."""


def within_each(expression: pl.Expr) -> pl.Expr:
    """The expression starts again with every session."""
    return expression.over("session_key")


def within_one(expression: pl.Expr) -> pl.Expr:
    """The expression as it is, for a frame that holds one session: groups of one cost most of a
    live bar.
    """
    return expression


def within_of(frame: pl.DataFrame) -> Within:
    """How this frame keeps a memory inside its sessions. Reads `session_key`."""
    is_one = frame.height > 0 and frame["session_key"][-1] == 0
    return within_one if is_one else within_each


def with_position(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars with `session_key` (Int32, 0, 1, … in the frame) and `session_bar` (Int32, 0, 1, … in
    the session).

    The bars of a session must be together and in order of their close; the order is not changed.
    `_row` and `_start` number the rows of the frame: this one and the session's first.
    """
    row = pl.Series("_row", np.arange(bars.height, dtype=np.int32))
    if is_one_session(bars):
        start = pl.Series("_start", np.zeros(bars.height, dtype=np.int32))
        key, bar = start.alias("session_key").set_sorted(), row.alias("session_bar")
        return bars.hstack([row, start, key, bar])
    is_first = pl.any_horizontal(
        pl.col(column).ne_missing(pl.col(column).shift()) for column in ("session_date", "symbol")
    )
    return (
        bars.hstack([row])
        .with_columns(_is_first=is_first | (pl.col("_row") == 0))
        .with_columns(
            _start=pl.when("_is_first").then(pl.col("_row")).forward_fill(),
            session_key=(pl.col("_is_first").cast(pl.Int32).cum_sum() - 1).set_sorted(),
        )
        .with_columns(session_bar=pl.col("_row") - pl.col("_start"))
        .drop("_is_first")
    )


def is_one_session(bars: pl.DataFrame) -> bool:
    """Do the bars belong to one session? Those of a session are together, so two bars tell."""
    return bars.height > 0 and all(
        bars[column][0] == bars[column][-1] for column in ("session_date", "symbol")
    )


def lag(column: str, bars: int) -> pl.Expr:
    """Value `bars` bars earlier in the session, null before there is one."""
    return pl.when(pl.col("session_bar") >= bars).then(pl.col(column).shift(bars))


def first_of_session(values: pl.Expr) -> pl.Expr:
    """The value of the session's first bar, on every bar. Reads `_start`."""
    return values.gather(pl.col("_start"))


def window_start(bars: int) -> pl.Expr:
    """Row of the first bar of a window that ends here and does not leave the session. Reads
    `_start`.
    """
    return pl.max_horizontal("_start", pl.col("_row") - (bars - 1))


def running_total(column: str) -> pl.Expr:
    """Cumulative sum of an integer column over the whole frame, to be read by `total_since`."""
    return pl.col(column).cast(pl.Int64).cum_sum().alias(_total_name(column))


def total_since(column: str, first_row: str) -> pl.Expr:
    """Sum of the integer `column` from the row in `first_row` to this one, exact since integers do
    not round.
    """
    total = pl.col(_total_name(column))
    return total - (total - pl.col(column)).gather(pl.col(first_row))


def _total_name(column: str) -> str:
    return f"_{column.lstrip('_')}_total"


def ols_slope(column: str, bars: int) -> pl.Expr:
    """Least-squares slope per bar over the last `bars` bars; null while the session has fewer.

    A weighted window sum: the kernel holds nothing between rows, so it needs no `.over`. A null
    inside the window has to be masked by the caller, the kernel refuses nulls.
    """
    middle = (bars - 1) / 2
    spread = bars * (bars * bars - 1) / 12
    weights = [(position - middle) / spread for position in range(bars)]
    slope = pl.col(column).cast(pl.Float64).fill_null(0.0).rolling_sum(bars, weights=weights)
    return pl.when(pl.col("session_bar") >= bars - 1).then(slope)


def typical_gap(session_open: pl.Expr) -> pl.Expr:
    """Three times the typical price's distance from the session's open, in whole ticks: (H + L + C)
    − 3·open.
    """
    typical = pl.col("high_ticks") + pl.col("low_ticks") + pl.col("close_ticks")
    return (typical - 3 * session_open).cast(pl.Int64)


def vw_deviation(mean_gap: str, mean_gap_squared: str) -> pl.Expr:
    """Volume-weighted deviation of typical price in ticks, at least 2.

    Reads the volume-weighted means of `typical_gap` and of its square.
    """
    mean = pl.col(mean_gap)
    variance = (pl.col(mean_gap_squared) - mean * mean).clip(lower_bound=0)
    return (variance.sqrt() * (1 / 3)).clip(lower_bound=VWAP_DEVIATION_TICKS_MIN)


def floored(column: str, floor: float = 1.0) -> pl.Expr:
    """A denominator that is never below `floor`: one tick or one contract unless said otherwise."""
    return pl.col(column).clip(lower_bound=floor)


def logistic(x: pl.Expr) -> pl.Expr:
    """1 / (1 + e⁻ˣ); a product with −1 has the same bits as the negation and half its cost."""
    return 1.0 / (1.0 + (x * -1.0).exp())


Passes = tuple[tuple[pl.Expr, ...], ...]
"""Expressions to add in turn: those of one pass read columns of the frame and of the passes before.
"""


def add_passes(frame: pl.DataFrame, passes: Passes) -> pl.DataFrame:
    """The frame with the columns of every pass."""
    for expressions in passes:
        frame = frame.with_columns(expressions)
    return frame


class Stage(NamedTuple):
    """Passes that are run on the columns they read alone: a plan also costs by its frame's width.

    `adds` are the columns they leave; those that start with `_` only serve the passes after them.
    """

    reads: list[str]
    passes: Passes
    adds: dict[str, None]


def stage(*passes: tuple[pl.Expr, ...]) -> Stage:
    """A stage of these passes."""
    reads: dict[str, None] = {}
    made: dict[str, None] = {}
    for expressions in passes:
        named = {name: None for each in expressions for name in each.meta.root_names()}
        reads |= {name: None for name in named if name not in made}
        made |= {each.meta.output_name(): None for each in expressions}
    adds = {name: None for name in made if not name.startswith("_")}
    return Stage(list(reads), passes, adds)


def add_stage(frame: pl.DataFrame, stage: Stage) -> pl.DataFrame:
    """The frame with what a stage adds, in place of such columns that it has already."""
    found = add_passes(frame[stage.reads], stage.passes)
    again = [name for name in frame.columns if name in stage.adds]
    return (frame.drop(again) if again else frame).hstack([found[name] for name in stage.adds])


def side_by_side(*many: Passes) -> Passes:
    """Passes that do not read each other, run together."""
    return tuple(tuple(chain(*passes)) for passes in zip_longest(*many, fillvalue=()))


def atr_passes(within: Within, lengths: tuple[int, ...] = ATR_LENGTHS) -> Passes:
    """True range (Int32) and Wilder's ATRs of bars with position and `atr_seed_ticks`.

    The first bar of a session has only its own high − low, so the overnight gap is not in it.
    """
    before = pl.col("_close_before_ticks")
    widest = pl.max_horizontal("high_ticks", before) - pl.min_horizontal("low_ticks", before)
    is_seeded = pl.col("atr_seed_ticks").is_not_null()
    return (
        (
            lag("close_ticks", 1).alias("_close_before_ticks"),
            is_seeded.alias("_is_seeded"),
            (is_seeded & (pl.col("session_bar") == 0)).alias("_starts_from_seed"),
        ),
        (widest.alias("true_range_ticks"),),
        (running_total("true_range_ticks"),),
        (total_since("true_range_ticks", "_start").alias("_true_range_sum"),),
        tuple(within(_wilder_atr(length)).alias(f"atr_{length}_ticks") for length in lengths),
        tuple(floored(f"atr_{length}_ticks").alias(f"_atr_{length}") for length in lengths),
    )


def _wilder_atr(length: int) -> pl.Expr:
    """Wilder's average true range in ticks, started from `atr_seed_ticks`.

    Without a seed it is null until the session has `length` true ranges and starts from their mean.
    """
    ranges, bar = pl.col("true_range_ticks"), pl.col("session_bar")
    started = (
        pl.when("_starts_from_seed")
        .then((pl.col("atr_seed_ticks") * (length - 1) + ranges) * (1 / length))
        .when(pl.col("_is_seeded") | (bar >= length))
        .then(ranges)
        .when(bar == length - 1)
        .then(pl.col("_true_range_sum") * (1 / length))
    )
    return started.ewm_mean(alpha=1 / length, adjust=False)


def volume_passes() -> Passes:
    """`volume_z` before its clip, and what it shares with the volume signals."""
    return (
        (
            pl.col("volume").pow(2).alias("_volume_squared"),
            *(window_start(bars).alias(f"_from_{bars}") for bars in (20, 30, 60)),
        ),
        (running_total("volume"), running_total("_volume_squared")),
        (
            (pl.col("_row") - pl.col("_from_60") + 1).alias("_volume_count"),
            total_since("volume", "_from_60").alias("_volume_sum"),
            total_since("_volume_squared", "_from_60").alias("_volume_squared_sum"),
        ),
        (
            (pl.col("_volume_sum") / pl.col("_volume_count")).alias("_volume_mean_60"),
            (pl.col("_volume_squared_sum") / pl.col("_volume_count")).alias("_volume_squared_mean"),
        ),
        (_volume_z().alias("volume_z"),),
    )


def _volume_z() -> pl.Expr:
    """Volume against the session's last 60 bars, this one included; null before the 20th bar."""
    mean = pl.col("_volume_mean_60")
    variance = (pl.col("_volume_squared_mean") - mean * mean).clip(lower_bound=1.0)
    z = (pl.col("volume") - mean) / variance.sqrt()
    return pl.when(pl.col("session_bar") >= VOLUME_BARS_MIN - 1).then(z)
