"""Shared measurements against independent implementations."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import talib
from polars.testing import assert_frame_equal
from small_market import (
    RULES,
    bar,
    bars_of,
    context_of,
    contexts_of,
    random_bars,
    seen,
    some_sessions,
)

from engine.measures import (
    Within,
    add_stage,
    per_rules,
    stage,
    with_position,
    within_each,
    within_of,
    within_one,
)
from engine.rules import Rules

SESSION = some_sessions(1)[0]


def numbers(frame: pl.DataFrame, column: str) -> np.ndarray:
    return frame[column].cast(pl.Float64).to_numpy()


@pytest.mark.parametrize("length", [5, 14, 30])
def test_an_unseeded_atr_is_ta_libs_once_both_have_forgotten_their_start(length: int) -> None:
    bars = random_bars(3, [SESSION])

    frame = seen(bars, context_of(SESSION))

    prices = [numbers(bars, f"{name}_ticks") for name in ("high", "low", "close")]
    expected = talib.ATR(*prices, timeperiod=length)
    actual = numbers(frame, f"atr_{length}_ticks")
    assert np.isnan(actual[: length - 1]).all()
    assert actual[length - 1] == pytest.approx(numbers(frame, "true_range_ticks")[:length].mean())
    assert actual[-60:] == pytest.approx(expected[-60:], rel=1e-3)
    # TA-Lib leaves out the first bar's range: the same recursion from its start gives its numbers.
    assert numbers(frame, "true_range_ticks")[1:] == pytest.approx(talib.TRANGE(*prices)[1:])


@pytest.mark.parametrize("length", [5, 14, 30])
def test_a_seeded_atr_exists_from_the_first_bar_and_follows_wilder(length: int) -> None:
    bars = random_bars(3, [SESSION])

    frame = seen(bars, context_of(SESSION, atr_seed_ticks=7.5))

    atr, expected = 7.5, []
    for size in frame["true_range_ticks"]:
        atr = atr + (size - atr) / length
        expected.append(atr)
    assert frame[f"atr_{length}_ticks"].to_list() == pytest.approx(expected, rel=1e-12)


def test_the_first_true_range_of_a_session_has_no_overnight_gap() -> None:
    sessions = some_sessions(2)
    rows = [bar(100, 104, 98, 101), bar(110, 112, 109, 111)]
    bars = pl.concat([bars_of(s, rows) for s in sessions])

    frame = seen(bars, contexts_of(bars, sessions))

    assert frame["true_range_ticks"].to_list() == [6, 11, 6, 11]


def test_vwap_and_its_deviation_are_numpys_weighted_average_of_typical_price() -> None:
    bars = random_bars(4, [SESSION])
    frame = seen(bars, context_of(SESSION))
    typical = sum(numbers(bars, f"{name}_ticks") for name in ("high", "low", "close")) / 3
    volume = numbers(bars, "volume")

    for t in (0, 1, 17, 389):
        mean = np.average(typical[: t + 1], weights=volume[: t + 1])
        variance = np.average((typical[: t + 1] - mean) ** 2, weights=volume[: t + 1])

        assert frame["vwap_ticks"][t] == pytest.approx(mean, abs=1e-9)
        assert frame["vwap_deviation_ticks"][t] == pytest.approx(max(2, variance**0.5), abs=1e-9)


def test_vwap_is_unknown_until_something_was_traded() -> None:
    rows = [bar(100, 101, 99, 100, 0), bar(100, 101, 99, 100, 5), bar(100, 101, 99, 100, 0)]

    frame = seen(bars_of(SESSION, rows), context_of(SESSION))

    assert frame["vwap_ticks"].to_list() == [None, 100.0, 100.0]


def test_slopes_are_ta_libs_linear_regression() -> None:
    bars = random_bars(5, [SESSION])
    frame = seen(bars, context_of(SESSION))

    of_vwap = talib.LINEARREG_SLOPE(numbers(frame, "vwap_ticks"), timeperiod=30)
    of_volume = talib.LINEARREG_SLOPE(numbers(bars, "volume"), timeperiod=20)

    scaled = np.clip(of_vwap * 30 / (3 * numbers(frame, "atr_30_ticks")), -1, 1)
    assert numbers(frame, "vwap_slope")[30:] == pytest.approx(scaled[30:], abs=1e-7)
    means = np.convolve(numbers(bars, "volume"), np.ones(20) / 20, mode="valid")
    share = np.clip(of_volume[19:] * 20 / means, -1, 1)
    assert numbers(frame, "vol_slope_20")[19:] == pytest.approx(share, abs=1e-9)


def test_volume_z_is_numpys_population_score_of_the_last_sixty_bars() -> None:
    bars = random_bars(6, [SESSION])
    volume = numbers(bars, "volume")

    z = seen(bars, context_of(SESSION))["volume_z"].to_list()

    assert z[:19] == [None] * 19
    for t in (19, 40, 59, 60, 389):
        window = volume[max(0, t - 59) : t + 1]
        assert z[t] == pytest.approx((volume[t] - window.mean()) / window.std(), rel=1e-9)


def test_constant_volume_scores_zero_and_not_infinity() -> None:
    rows = [bar(100, 101, 99, 100, 500)] * 30

    z = seen(bars_of(SESSION, rows), context_of(SESSION))["volume_z"]

    assert z[19:].to_list() == [0.0] * 11


def test_volume_beyond_what_an_integer_square_holds_stays_in_range() -> None:
    bars = random_bars(6, [SESSION]).with_columns(volume=pl.col("volume") * 10**9)

    z = seen(bars, context_of(SESSION))["vol_z"].drop_nulls()

    assert z.is_between(-3, 3).all()
    assert not z.is_nan().any()


def test_efficiency_is_numpys_net_move_over_path() -> None:
    bars = random_bars(7, [SESSION])
    close = numbers(bars, "close_ticks")

    frame = seen(bars, context_of(SESSION))

    path = np.convolve(np.abs(np.diff(close)), np.ones(30), mode="valid")
    expected = np.abs(close[30:] - close[:-30]) / path
    assert numbers(frame, "auction_efficiency")[30:] == pytest.approx(expected, abs=1e-12)


def test_position_counts_bars_of_a_session_and_sessions_of_a_frame() -> None:
    sessions = some_sessions(2)
    bars = random_bars(1, sessions, bars=3)

    frame = with_position(bars)

    assert frame["session_bar"].to_list() == [0, 1, 2, 0, 1, 2]
    assert frame["session_key"].to_list() == [0, 0, 0, 1, 1, 1]


def test_what_is_kept_for_rules_is_built_once_and_never_for_others() -> None:
    built: list[Rules] = []

    @per_rules
    def count(rules: Rules) -> int:
        built.append(rules)
        return len(built)

    same_hash = replace(RULES)

    assert [count(RULES), count(RULES), count(same_hash), count(RULES)] == [1, 1, 2, 1]


def test_what_is_kept_for_rules_is_kept_for_each_further_argument() -> None:
    @per_rules
    def doubled(_rules: Rules, number: int) -> list[int]:
        return [2 * number]

    one, other = doubled(RULES, 1), doubled(RULES, 2)

    assert (one, other) == ([2], [4])
    assert doubled(RULES, 1) is one


def test_one_session_has_the_position_it_has_among_others() -> None:
    bars = random_bars(1, some_sessions(2), bars=3)

    alone, among = with_position(bars.head(3)), with_position(bars).head(3)

    assert_frame_equal(alone, among)


@pytest.mark.parametrize(("sessions", "expected"), [(1, within_one), (2, within_each)])
def test_a_memory_is_grouped_only_where_there_are_sessions_to_tell_apart(
    sessions: int, expected: Within
) -> None:
    frame = with_position(random_bars(1, some_sessions(sessions), bars=3))

    assert within_of(frame) is expected


def test_a_stage_reads_what_it_needs_and_leaves_no_scratch() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [10, 20], "unread": [0, 0], "sum": [0, 0]})
    adding = stage(
        ((pl.col("a") + pl.col("b")).alias("_both"),),
        ((pl.col("_both") * pl.col("a")).alias("sum"),),
    )

    found = add_stage(frame, adding)

    assert adding.reads == ["a", "b"]
    assert found.to_dict(as_series=False) == {
        "a": [1, 2],
        "b": [10, 20],
        "unread": [0, 0],
        "sum": [11, 44],
    }
