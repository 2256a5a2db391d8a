"""Labelled episodes: what a label says is on the bars, by the definitions of the signals, and its
stated odds are the true ones.

The definitions are computed here with numpy alone, from the specification and not from the engine.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from contracts import load_rules
from engine.calendar import Session
from engine.generator import EpisodeKind, generate_bars

Floats = npt.NDArray[np.float64]
MES = load_rules().instrument
MINUTES = 390
COUNT = 400


def sessions(count: int) -> list[Session]:
    first = datetime(2019, 1, 7, 14, 30, tzinfo=UTC)
    days = (first + timedelta(days=day) for day in range(2 * count))
    opens = [at for at in days if at.weekday() < 5][:count]
    return [
        Session(
            session_date=at.date(),
            opens_at=at,
            closes_at=at + timedelta(minutes=MINUTES),
            prior_session_date=None,
        )
        for at in opens
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Bars as (sessions, minutes) arrays in ticks, and the labels with the row of their session."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    spread: Floats
    labels: pl.DataFrame

    def true_range(self) -> Floats:
        before = np.concatenate([self.open[:, :1], self.close[:, :-1]], axis=1)
        ranges: Floats = np.maximum(self.high, before) - np.minimum(self.low, before)
        return ranges

    def atr(self, bars: int) -> Floats:
        """Wilder's, started from the mean of the session's first 30 true ranges."""
        ranges = self.true_range()
        average = np.empty_like(ranges)
        level = ranges[:, :30].mean(axis=1)
        for minute in range(MINUTES):
            level = level + (ranges[:, minute] - level) / bars
            average[:, minute] = level
        return average

    def vwap_z(self) -> Floats:
        base = self.open[:, :1]
        typical = (self.high + self.low + self.close) / 3 - base
        traded = self.volume.cumsum(axis=1)
        value = (typical * self.volume).cumsum(axis=1) / traded
        variance = (typical**2 * self.volume).cumsum(axis=1) / traded - value**2
        deviation = np.maximum(np.sqrt(np.maximum(variance, 0)), 2)
        gap: Floats = (self.close - base - value) / deviation
        return gap

    def volume_z(self, rows: Floats, minutes: Floats) -> Floats:
        windows = [
            self.volume[row, max(0, minute - 59) : minute + 1]
            for row, minute in zip(rows, minutes, strict=True)
        ]
        return np.array([(w[-1] - w.mean()) / w.std(ddof=1) for w in windows])

    def prior_extreme(self, side: int) -> Floats:
        """Highest high (+1) or lowest low (−1) of the 60 bars before each bar; NaN without 60."""
        values = self.high if side > 0 else -self.low
        found = np.full_like(values, np.nan)
        found[:, 60:] = sliding_window_view(values, 60, axis=1)[:, :-1].max(axis=2)
        return found * side

    def trend_strength(self) -> Floats:
        """Signal S5."""
        ups, downs = np.diff(self.high, axis=1) > 0, np.diff(self.low, axis=1) < 0
        rises, falls = np.diff(self.low, axis=1) > 0, np.diff(self.high, axis=1) < 0
        steps = (ups & rises).astype(float) - (downs & falls).astype(float)
        steps = np.concatenate([np.zeros((len(steps), 1)), steps], axis=1)
        found = np.full_like(self.close, np.nan)
        found[:, 29:] = 2 * sliding_window_view(steps, 30, axis=1).mean(axis=2)
        return np.clip(found, -1, 1)

    def efficiency(self) -> Floats:
        """Signal S34."""
        walked = sliding_window_view(np.abs(np.diff(self.close, axis=1)), 30, axis=1).sum(axis=2)
        found = np.full_like(self.close, np.nan)
        found[:, 30:] = np.abs(self.close[:, 30:] - self.close[:, :-30]) / np.maximum(walked, 1)
        return found


def market(seed: int, count: int = COUNT) -> Market:
    days = sessions(count)
    generated = generate_bars(days, seed, MES)
    row_of = {day.session_date: row for row, day in enumerate(days)}
    bars = generated.bars
    arrays = {
        name: bars[column].to_numpy().reshape(count, MINUTES).astype(float)
        for name, column in (
            ("open", "open_ticks"),
            ("high", "high_ticks"),
            ("low", "low_ticks"),
            ("close", "close_ticks"),
            ("volume", "volume"),
        )
    }
    spread = (bars["ask_ticks"] - bars["bid_ticks"]).to_numpy().reshape(count, MINUTES)
    labels = generated.labels.with_columns(
        row=pl.col("session_date").replace_strict(row_of, return_dtype=pl.Int64)
    )
    return Market(**arrays, spread=spread.astype(float), labels=labels)


@pytest.fixture(scope="module", params=[11, 2025])
def seen(request: pytest.FixtureRequest) -> Market:
    return market(request.param)


def places(seen: Market, kind: EpisodeKind) -> tuple[Floats, Floats, Floats]:
    """Session row, signal minute and side of every label of a kind."""
    chosen = seen.labels.filter(pl.col("kind") == kind.value)
    assert chosen.height > 10
    rows, minutes, sides = (chosen[name].to_numpy() for name in ("row", "signal_minute", "side"))
    return rows, minutes, sides.astype(np.int64)


def test_an_excursion_is_stretched_from_vwap_against_its_side(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.VWAP_EXCURSION)

    stretched = -sides * seen.vwap_z()[rows, minutes]

    assert stretched.min() >= 1.5


def test_a_failed_break_closed_beyond_the_extreme_and_is_back_inside(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.FAILED_BREAK)
    highest, lowest = seen.prior_extreme(1), seen.prior_extreme(-1)

    found = np.zeros(len(rows), dtype=bool)
    for ago in range(1, 6):
        at = (rows, minutes - ago)
        extreme = np.where(sides > 0, lowest[at], highest[at])
        was_beyond = sides * (seen.close[at] - extreme) < 0
        is_inside = sides * (seen.close[rows, minutes] - extreme) >= 1
        found |= was_beyond & is_inside

    assert found.all()
    assert set(sides) == {1, -1}


def test_a_sweep_pierces_the_extreme_and_closes_inside_on_a_long_wick(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.SWEEP)
    at = (rows, minutes)

    extreme = np.where(sides > 0, seen.prior_extreme(-1)[at], seen.prior_extreme(1)[at])
    reached = np.where(sides > 0, seen.low[at], seen.high[at])
    body_end = np.where(
        sides > 0,
        np.minimum(seen.open[at], seen.close[at]),
        np.maximum(seen.open[at], seen.close[at]),
    )
    wick_share = np.abs(body_end - reached) / seen.true_range()[at]

    assert (sides * (extreme - reached)).min() >= 2
    assert (sides * (seen.close[at] - extreme)).min() >= 1
    assert np.median(wick_share) > 0.5
    assert np.quantile(wick_share, 0.05) > 0.3
    assert np.median(seen.volume_z(rows, minutes)) > 2


def test_a_trend_makes_higher_highs_or_lower_lows_efficiently(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.TREND)

    strength = sides * seen.trend_strength()[rows, minutes]

    assert strength.min() >= 0.4
    assert seen.efficiency()[rows, minutes].min() >= 0.3


def test_chop_goes_nowhere(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.CHOP)

    assert seen.efficiency()[rows, minutes].max() < 0.2
    assert np.median(np.abs(seen.trend_strength()[rows, minutes])) < 0.2
    assert set(sides) == {0}


def test_a_news_shock_is_a_shock_and_nothing_else_is(seen: Market) -> None:
    rows, minutes, sides = places(seen, EpisodeKind.NEWS_SHOCK)
    at = (rows, minutes)
    changes = np.diff(seen.close, axis=1, prepend=seen.close[:, :1])
    deviation = np.array(
        [changes[row, minute - 59 : minute + 1].std() for row, minute in zip(*at, strict=True)]
    )

    fast = seen.true_range() > 4 * seen.atr(30)

    assert fast[at].all()
    assert seen.volume_z(rows, minutes).min() > 2.5
    assert (sides * (seen.close - seen.open)[at] / deviation).min() > 3
    assert (seen.spread[at] >= 4).all()
    unlabelled = fast.copy()
    unlabelled[at] = False
    assert unlabelled.sum() < 0.05 * COUNT  # A base walk has a jump once in more than 20 sessions.


def test_the_stated_odds_are_the_true_ones() -> None:
    labels = pl.concat(market(seed).labels for seed in range(4)).drop_nulls("edge_probability")

    by_kind = labels.group_by("kind").agg(
        followed=pl.col("follows_through").cast(pl.Float64).sum(),
        expected=pl.col("edge_probability").sum(),
        variance=(pl.col("edge_probability") * (1 - pl.col("edge_probability"))).sum(),
    )
    surprise = by_kind.select(
        ((pl.col("followed") - pl.col("expected")) / pl.col("variance").sqrt()).abs()
    )
    assert by_kind.height == 5
    assert surprise["followed"].max() < 3
    better = labels.filter(pl.col("edge_probability") > 0.6)["follows_through"].mean()
    worse = labels.filter(pl.col("edge_probability") < 0.5)["follows_through"].mean()
    assert better - worse > 0.10


def test_an_episode_that_follows_through_moves_to_its_side(seen: Market) -> None:
    labels = seen.labels.drop_nulls("edge_probability")
    rows, signal, until, side, follows = (
        labels[name].to_numpy()
        for name in ("row", "signal_minute", "until_minute", "side", "follows_through")
    )

    moved = side * (seen.close[rows, until - 1] - seen.close[rows, signal])
    in_ranges = moved / seen.atr(14)[rows, signal]

    assert ((moved > 0) == follows).mean() > 0.90
    assert np.median(in_ranges[follows]) > 2.5
    assert np.median(in_ranges[~follows]) < -1.2


def test_episodes_of_one_session_do_not_overlap(seen: Market) -> None:
    order = seen.labels.select(
        starts=pl.col("from_minute").shift(-1).over("row"), ends="until_minute"
    ).drop_nulls()

    assert (order["starts"] >= order["ends"]).all()
    assert seen.labels.filter(
        ~pl.col("signal_minute").is_between("from_minute", pl.col("until_minute") - 1)
    ).is_empty()


def test_labels_that_were_shifted_by_five_minutes_would_be_caught() -> None:
    found = market(11)
    late = found.labels.with_columns(pl.col("signal_minute") + 5)
    shifted = Market(
        open=found.open,
        high=found.high,
        low=found.low,
        close=found.close,
        volume=found.volume,
        spread=found.spread,
        labels=late,
    )

    for law in (
        test_an_excursion_is_stretched_from_vwap_against_its_side,
        test_a_sweep_pierces_the_extreme_and_closes_inside_on_a_long_wick,
        test_a_failed_break_closed_beyond_the_extreme_and_is_back_inside,
        test_a_news_shock_is_a_shock_and_nothing_else_is,
    ):
        with pytest.raises(AssertionError):
            law(shifted)
