"""Generated bars beside the six real sessions: the same statistics, within stated bounds."""

from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.generator import generate_bars, random_walk_bars
from pipelines.sources import read_source

Floats = npt.NDArray[np.float64]
RULES = load_rules()
MES = RULES.instrument
SESSIONS = [
    session
    for session in sessions_between(date(2023, 1, 3), date(2024, 12, 31), RULES.session)
    if not session.is_half_day
]


def shape(bars: pl.DataFrame) -> dict[str, float]:
    """Statistics of full sessions that do not depend on how fast or busy a session is."""
    arrays = {
        name: bars[name].to_numpy().reshape(-1, 390).astype(float)
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume")
    }
    open_, high, low, close, volume = arrays.values()
    before = np.concatenate([open_[:, :1], close[:, :-1]], axis=1)
    ranges = np.maximum(high, before) - np.minimum(low, before)
    change = np.diff(close, axis=1)
    centred = change - change.mean(axis=1, keepdims=True)
    half_hours = ranges.reshape(-1, 13, 30).mean(axis=2) / ranges.mean(axis=1, keepdims=True)
    busy = volume.reshape(-1, 13, 30).mean(axis=2) / volume.mean(axis=1, keepdims=True)
    body = np.abs(close - open_) / np.maximum(high - low, 1)
    relative = ranges / np.median(ranges, axis=1, keepdims=True)
    gaps = open_[1:, 0] - close[:-1, -1]
    return {
        "median_range_ticks": float(np.median(ranges)),
        "range_p95_by_median": float(np.quantile(relative, 0.95)),
        "open_range_by_mean": float(half_hours[:, 0].mean()),
        "lunch_range_by_mean": float(half_hours[:, 5:8].mean()),
        "close_range_by_mean": float(half_hours[:, 12].mean()),
        "open_volume_by_mean": float(busy[:, 0].mean()),
        "lunch_volume_by_mean": float(busy[:, 5:8].mean()),
        "close_volume_by_mean": float(busy[:, 12].mean()),
        "kurtosis": float(np.median((centred**4).mean(axis=1) / centred.var(axis=1) ** 2)),
        "autocorrelation_change": memory(change),
        "autocorrelation_size": memory(np.abs(change)),
        "autocorrelation_range": memory(ranges),
        "autocorrelation_volume": memory(volume),
        "change_by_range": float(np.median(change.std(axis=1) / ranges.mean(axis=1))),
        "wick_share": float(1 - body.mean()),
        "volume_with_range": float(
            np.median([np.corrcoef(v, r)[0, 1] for v, r in zip(volume, ranges, strict=True)])
        ),
        "gap_by_session_range": float(
            np.sqrt((gaps**2).mean()) / np.median(high.max(axis=1) - low.min(axis=1))
        ),
    }


def memory(values: Floats) -> float:
    """Median over sessions of the lag-one autocorrelation."""
    centred = values - values.mean(axis=1, keepdims=True)
    return float(np.median((centred[:, 1:] * centred[:, :-1]).mean(axis=1) / values.var(axis=1)))


def session_atr(bars: pl.DataFrame) -> Floats:
    """Median Wilder ATR14 of each session, in ticks."""
    high, low, close = (
        bars[f"{name}_ticks"].to_numpy().reshape(-1, 390).astype(float)
        for name in ("high", "low", "close")
    )
    before = np.concatenate([low[:, :1], close[:, :-1]], axis=1)
    ranges = np.maximum(high, before) - np.minimum(low, before)
    level, levels = ranges[:, :14].mean(axis=1), []
    for minute in range(390):
        level = level + (ranges[:, minute] - level) / 14
        levels.append(level)
    medians: Floats = np.median(np.array(levels), axis=0)
    return medians


REAL_OCTOBER_2013 = {
    "range_p95_by_median": (2.000, 0.25),
    "open_range_by_mean": (1.346, 0.15),
    "lunch_range_by_mean": (0.823, 0.08),
    "close_range_by_mean": (1.213, 0.10),
    "open_volume_by_mean": (1.836, 0.20),
    "lunch_volume_by_mean": (0.704, 0.10),
    "close_volume_by_mean": (1.470, 0.20),
    "kurtosis": (3.856, 0.90),
    "autocorrelation_change": (-0.087, 0.09),
    "autocorrelation_size": (0.045, 0.09),
    "autocorrelation_range": (0.250, 0.08),
    "autocorrelation_volume": (0.430, 0.08),
    "change_by_range": (0.659, 0.02),
    "wick_share": (0.527, 0.02),
    "volume_with_range": (0.668, 0.15),
    "gap_by_session_range": (0.490, 0.20),
}
"""Statistic of the six real ES sessions, and how far a generated market may be from it.

A generated market has more tails, more memory of size and larger gaps: its episodes and shocks.
"""


def test_the_table_is_what_the_real_bars_say(real_bars_dir: Path) -> None:
    sessions = sessions_between(date(2013, 10, 7), date(2013, 10, 14), RULES.session)
    raw = read_source(f"lean:{real_bars_dir}", "MES", date(2013, 10, 7), date(2013, 10, 14))

    real = shape(check_bars(raw, MES, sessions).bars)

    for name, (stated, _) in REAL_OCTOBER_2013.items():
        assert real[name] == pytest.approx(stated, abs=0.001), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_generated_market_has_the_shape_of_the_real_one(seed: int) -> None:
    made = shape(generate_bars(SESSIONS, seed, MES).bars)

    for name, (real, tolerance) in REAL_OCTOBER_2013.items():
        assert made[name] == pytest.approx(real, abs=tolerance), name


def test_a_walk_has_no_direction_to_find() -> None:
    bars = random_walk_bars(SESSIONS, 5, MES)
    close = bars["close_ticks"].to_numpy().reshape(-1, 390).astype(float)

    ahead = close[:, 60::30] - close[:, 30:-30:30]
    past = close[:, 30:-30:30] - close[:, 0:-60:30]
    sizes = np.sqrt((ahead**2).mean() * (past**2).mean())

    assert abs((ahead * past).mean() / sizes) < 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sessions_are_quiet_usual_and_fast_in_turn(seed: int) -> None:
    atr = session_atr(generate_bars(SESSIONS, seed, MES).bars)

    assert ((atr > 5) & (atr < 9.5)).mean() > 0.45  # A stop of 1.25 ATR fits 6 to 12 ticks.
    assert 3 < atr.min() < 4.5  # Friction eats the edge.
    assert 10 < atr.max() < 22  # The stop would be too wide.
    logs = np.log(atr) - np.log(atr).mean()
    assert (logs[1:] * logs[:-1]).mean() / logs.var() > 0.6  # Speed persists from day to day.


def test_quotes_are_one_tick_wide_almost_always() -> None:
    bars = generate_bars(SESSIONS, 1, MES).bars

    spread = (bars["ask_ticks"] - bars["bid_ticks"]).to_numpy()

    assert (spread == 1).mean() == pytest.approx(0.987, abs=0.004)
    assert 4 <= spread.max() <= 6  # At a shock, and below the 10 ticks that would doubt the data.
