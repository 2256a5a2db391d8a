"""The laws of the market columns: causal, the same in any batch, bounded, free of scale.

Each law is checked by a small function, and each function is shown to catch the bug it is for.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_market import RULES, bar, bars_of, contexts_of, random_bars, seen, some_sessions

from engine.signals import SIGNALS, inputs_of

Compute = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]

SESSIONS = some_sessions(3, minutes=150)
LAST_WARM_BAR = 2 * 150 + 62
"""From here on no signal of the last session is warming up, lost bars aside."""

markets = st.builds(
    lambda seed, wild: random_bars(seed, SESSIONS, wild=wild),
    st.integers(0, 10_000),
    st.booleans(),
)
cuts = st.integers(LAST_WARM_BAR, 449) | st.integers(1, 449)


def of_session(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    return frame.filter(pl.col("session_date") == SESSIONS[number].session_date)


def without_key(frame: pl.DataFrame) -> pl.DataFrame:
    """`session_key` numbers the sessions of a frame: the one column that depends on the batch."""
    return frame.drop("session_key")


def changed_columns(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """Columns that differ in any bit or null."""
    assert one.height == other.height
    return [name for name in one.columns if not one[name].equals(other[name], null_equal=True)]


def columns_that_look_ahead(
    compute: Compute, bars: pl.DataFrame, contexts: pl.DataFrame, cut: int
) -> list[str]:
    """Columns whose first `cut` rows change when the rows after them are known."""
    full, prefix = compute(bars, contexts), compute(bars.head(cut), contexts)
    return changed_columns(without_key(full.head(cut)), without_key(prefix))


def columns_that_need_company(
    compute: Compute, bars: pl.DataFrame, contexts: pl.DataFrame
) -> list[str]:
    """Columns in which a session computed alone differs from the same session in a batch."""
    batch = without_key(compute(bars, contexts))
    alone = [compute(of_session(bars, n), of_session(contexts, n)) for n in range(len(SESSIONS))]
    return changed_columns(batch, without_key(pl.concat(alone)))


@settings(max_examples=25)
@given(bars=markets, cut=cuts)
@example(bars=random_bars(8, SESSIONS), cut=151)
def test_no_row_changes_when_later_bars_are_known(bars: pl.DataFrame, cut: int) -> None:
    contexts = contexts_of(bars, SESSIONS)

    late = columns_that_look_ahead(seen, bars, contexts, min(cut, bars.height - 1))

    assert late == []


def first_bars_that_need_company(compute: Compute) -> list[str]:
    """Columns in which a frame of one bar, a session's first, differs from the batch."""
    sessions = some_sessions(60)
    bars = random_bars(11, sessions, bars=40)
    contexts = contexts_of(bars, sessions)
    batch = without_key(compute(bars, contexts)).filter(pl.col("session_bar") == 0)
    first = bars.group_by("session_date", maintain_order=True).first().select(bars.columns)
    alone = [compute(first.slice(n, 1), contexts.slice(n, 1)) for n in range(len(sessions))]
    return changed_columns(batch, without_key(pl.concat(alone)))


def test_the_first_bar_of_a_session_alone_equals_the_batch_to_the_bit() -> None:
    assert first_bars_that_need_company(seen) == []


def test_a_planted_division_by_a_number_is_caught() -> None:
    def divided(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
        return seen(bars, contexts).with_columns(third=pl.col("vwap_ticks") / 3)

    assert first_bars_that_need_company(divided) == ["third"]


@pytest.mark.parametrize(
    "leak",
    [
        pl.col("close_ticks").shift(-1) - pl.col("close_ticks"),
        pl.when(pl.col("session_bar") >= 60).then(pl.col("close_ticks").shift(-1).fill_null(0)),
        pl.col("close_ticks").rolling_mean(61, center=True),
        pl.col("close_ticks") - pl.col("close_ticks").mean().over("session_key"),
    ],
    ids=["next close", "next close after warm-up", "centred mean", "mean of the whole session"],
)
def test_a_planted_look_ahead_is_caught_by_its_name(leak: pl.Expr) -> None:
    bars = random_bars(3, SESSIONS)
    contexts = contexts_of(bars, SESSIONS)

    def leaky(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
        return seen(bars, contexts).with_columns(leak.alias("leak"))

    assert columns_that_look_ahead(leaky, bars, contexts, cut=2 * 150 + 100) == ["leak"]


@settings(max_examples=15)
@given(bars=markets)
def test_a_session_computed_alone_equals_the_batch_to_the_bit(bars: pl.DataFrame) -> None:
    contexts = contexts_of(bars, SESSIONS)

    assert columns_that_need_company(seen, bars, contexts) == []


@pytest.mark.parametrize(
    "crossing",
    [
        pl.col("close_ticks").shift(5),
        pl.col("atr_14_ticks").cum_sum(),
        pl.col("vwap_ticks").rolling_mean(10, min_samples=1),
    ],
    ids=["shift into the prior session", "float sum over sessions", "window over sessions"],
)
def test_a_planted_column_that_crosses_sessions_is_caught(crossing: pl.Expr) -> None:
    bars = random_bars(3, SESSIONS)
    contexts = contexts_of(bars, SESSIONS)

    def crossed(bars: pl.DataFrame, contexts: pl.DataFrame) -> pl.DataFrame:
        return seen(bars, contexts).with_columns(crossing.alias("crossing"))

    assert columns_that_need_company(crossed, bars, contexts) == ["crossing"]


def is_unknown_within(column: str, bars: int) -> pl.Expr:
    unknown = pl.col(column).is_null().cast(pl.Int32)
    return unknown.rolling_max(bars + 1, min_samples=1).over("session_key") == 1


def signals_out_of_bounds(frame: pl.DataFrame) -> list[str]:
    """Signals that leave their range, are not a number, or are null where nothing excuses it."""
    wrong = []
    for signal in SIGNALS.values():
        value = pl.col(signal.name)
        is_excused = pl.any_horizontal(
            pl.col("session_bar") < signal.lookback_bars,
            *(
                is_unknown_within(need, signal.lookback_bars)
                for need in inputs_of(signal.name)
                if need != signal.name
            ),
        )
        is_wrong = (
            value.is_nan()
            | ~value.is_between(signal.low, signal.high)
            | (value.is_null() & ~is_excused)
        )
        if frame.select(is_wrong.any()).item():
            wrong.append(signal.name)
    return wrong


@given(bars=markets)
def test_signals_keep_their_range_and_are_null_only_where_declared(bars: pl.DataFrame) -> None:
    contexts = contexts_of(bars, SESSIONS)

    assert signals_out_of_bounds(seen(bars, contexts)) == []


DEAD = [bar(20_000, 20_000, 20_000, 20_000, 0)] * 150
FROZEN = [bar(20_000, 20_000, 20_000, 20_000, 1)] * 150
JUMPY = [bar(p, p + 5_000, p - 5_000, p, 10**7 * (i % 2)) for i, p in enumerate([20_000] * 150)]
CROSSED = [bar(8, 9, 7, 8, 5, bid_ticks=9, ask_ticks=7)] * 150


@pytest.mark.parametrize(
    "rows", [DEAD, FROZEN, JUMPY, CROSSED], ids=["no volume", "one price", "jumps", "near zero"]
)
def test_degenerate_sessions_stay_in_range(rows: list[dict[str, int]]) -> None:
    bars = pl.concat([bars_of(session, rows) for session in SESSIONS])
    contexts = contexts_of(bars, SESSIONS)

    assert signals_out_of_bounds(seen(bars, contexts)) == []


@pytest.mark.parametrize("value", [3.1, float("nan"), None])
def test_a_planted_signal_out_of_bounds_is_caught(value: float | None) -> None:
    bars = random_bars(3, SESSIONS)
    frame = seen(bars, contexts_of(bars, SESSIONS))

    spoiled = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 100).then(value).otherwise("vwap_z").alias("vwap_z")
    )

    assert signals_out_of_bounds(spoiled) == ["vwap_z"]


NOT_SCALE_FREE = {"spread_tickiness", "round_number_proximity"}
IN_TICKS_BY_MEANING = {"friction_regime_index", "distance_from_poc"}
"""Friction is a number of ticks, and the point of control is the middle of a 4-tick bin."""


def coarse_bars(level: int = 200_000, size: int = 1, volume: int = 1) -> pl.DataFrame:
    """The same market in moves of `8 x size` ticks around a level, one tick of spread."""
    bars = random_bars(5, SESSIONS)
    prices = {
        f"{name}_ticks": level + (pl.col(f"{name}_ticks") - 20_000) * 8 * size
        for name in ("open", "high", "low", "close")
    }
    return bars.with_columns(**prices, volume=pl.col("volume") * volume).with_columns(
        bid_ticks="close_ticks", ask_ticks=pl.col("close_ticks") + 1
    )


def signals_that_scale(
    one: pl.DataFrame, other: pl.DataFrame, names: Iterable[str] = SIGNALS
) -> set[str]:
    """Signals that differ between two markets of one shape, once VWAP has a deviation."""
    settled = one["vwap_deviation_ticks"] > 2
    return {
        name
        for name in names
        if one.filter(settled)[name].to_list()
        != pytest.approx(other.filter(settled)[name].to_list(), abs=1e-9)
    }


def seen_alone(bars: pl.DataFrame) -> pl.DataFrame:
    return seen(bars, contexts_of(bars, SESSIONS))


def test_the_price_level_changes_no_normalised_signal() -> None:
    low, high = seen_alone(coarse_bars()), seen_alone(coarse_bars(level=400_024))

    assert signals_that_scale(low, high) == {"round_number_proximity"}


def test_twice_the_moves_change_no_normalised_signal() -> None:
    small, large = seen_alone(coarse_bars()), seen_alone(coarse_bars(size=2))

    scaled = signals_that_scale(small, large)

    assert scaled <= NOT_SCALE_FREE | IN_TICKS_BY_MEANING


def test_the_tick_size_changes_no_normalised_signal() -> None:
    bars = coarse_bars()
    coarser = replace(RULES.instrument, tick_size=RULES.instrument.tick_size * Decimal(2))
    contexts = contexts_of(bars, SESSIONS)

    scaled = signals_that_scale(
        seen(bars, contexts), seen(bars, contexts, replace(RULES, instrument=coarser))
    )

    assert scaled == {"round_number_proximity"}


def test_the_volume_unit_changes_no_signal() -> None:
    thin, thick = seen_alone(coarse_bars()), seen_alone(coarse_bars(volume=2))

    assert signals_that_scale(thin, thick) == set()


@pytest.mark.parametrize(
    "planted",
    [
        pl.col("close_ticks") - pl.col("vwap_ticks"),
        pl.col("volume") / 10_000,
        pl.col("close_ticks") / 100_000,
    ],
    ids=["a move in ticks", "a volume", "a price"],
)
def test_a_planted_signal_with_a_unit_is_caught(planted: pl.Expr) -> None:
    base = seen_alone(coarse_bars()).with_columns(planted.alias("planted"))
    others = [coarse_bars(level=400_024), coarse_bars(size=2), coarse_bars(volume=2)]

    caught = [
        signals_that_scale(
            base, seen_alone(bars).with_columns(planted.alias("planted")), ["planted"]
        )
        for bars in others
    ]

    assert {"planted"} in caught
