"""The generated market: one integer is one market, its bars are lawful, its units do not matter."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import BAR_COLUMNS
from engine.calendar import Session
from engine.errors import CalendarError, OffGridPrice, SettingsError
from engine.generator import (
    LABEL_COLUMNS,
    EpisodeKind,
    MarketScale,
    generate_bars,
    random_walk_bars,
)

RULES = load_rules()
MES = RULES.instrument
SESSIONS = sessions_between(date(2024, 11, 1), date(2025, 1, 31), RULES.session)
HALF_DAYS = [session for session in SESSIONS if session.is_half_day]
PRICES = ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "bid_ticks", "ask_ticks")


def weekdays(count: int) -> list[Session]:
    """Synthetic sessions on consecutive weekdays, for lengths that no calendar is needed for."""
    opens = [datetime(2015, 1, 5, 14, 30, tzinfo=UTC) + timedelta(days=day) for day in range(count)]
    return [
        Session(
            session_date=at.date(),
            opens_at=at,
            closes_at=at + timedelta(minutes=390),
            prior_session_date=None,
        )
        for at in opens
        if at.weekday() < 5
    ]


def digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()


def broken_bars(bars: pl.DataFrame) -> int:
    """Number of bars that no path could have left."""
    body_high = pl.max_horizontal("open_ticks", "close_ticks")
    body_low = pl.min_horizontal("open_ticks", "close_ticks")
    close = pl.col("close_ticks")
    lawful = (
        (pl.col("high_ticks") >= body_high)
        & (pl.col("low_ticks") <= body_low)
        & (pl.col("bid_ticks") < pl.col("ask_ticks"))
        & ((close == pl.col("bid_ticks")) | (close == pl.col("ask_ticks")))
        & (pl.col("volume") >= pl.col("trades"))
        & (pl.col("trades") >= 1)
    )
    return bars.filter(~lawful).height


def test_one_seed_is_one_market() -> None:
    first = generate_bars(SESSIONS, 7, MES)
    again = generate_bars(SESSIONS, 7, MES)
    other = generate_bars(SESSIONS, 8, MES)

    assert digest(first.bars) == digest(again.bars)
    assert digest(first.labels) == digest(again.labels)
    assert digest(first.bars.drop("source")) != digest(other.bars.drop("source"))


def test_bars_and_labels_have_their_columns_and_no_minute_is_missing() -> None:
    generated = generate_bars(SESSIONS, 7, MES)

    bars = generated.bars
    assert dict(bars.schema) == BAR_COLUMNS
    assert dict(generated.labels.schema) == LABEL_COLUMNS
    minutes = [minute for session in SESSIONS for minute in range(session.minutes)]
    assert bars["minute"].to_list() == minutes
    assert bars["opens_at"].to_list() == [
        session.opens_at + timedelta(minutes=minute)
        for session in SESSIONS
        for minute in range(session.minutes)
    ]
    assert (bars["closes_at"] - bars["opens_at"]).unique().to_list() == [timedelta(minutes=1)]
    assert bars["source"].unique().to_list() == ["generator:7"]
    assert bars["arrived_at"].null_count() == bars.height
    assert bars.drop("arrived_at").null_count().sum_horizontal().item() == 0


def test_a_session_does_not_depend_on_which_others_are_asked_for() -> None:
    many = generate_bars(weekdays(350), 7, MES)

    few = generate_bars(weekdays(350)[:25], 7, MES)
    alone = generate_bars(weekdays(350)[40:41], 7, MES)

    assert few.bars.equals(many.bars.head(few.bars.height))
    assert few.labels.equals(many.labels.head(few.labels.height))
    assert alone.bars.equals(many.bars[40 * 390 : 41 * 390])
    day = alone.bars["session_date"][0]
    assert alone.labels.equals(many.labels.filter(pl.col("session_date") == day))


def test_a_half_day_ends_early_and_keeps_its_episodes_inside() -> None:
    assert [session.session_date for session in HALF_DAYS] == [
        date(2024, 11, 29),
        date(2024, 12, 24),
    ]

    for seed in range(20):
        generated = generate_bars(HALF_DAYS, seed, MES)

        assert generated.bars.height == 2 * 210
        assert (generated.labels["until_minute"] <= 205).all()
        last = generated.bars.group_by("session_date").agg(
            pl.col("volume").last() / pl.col("volume").median()
        )
        assert (last["volume"] > 1).all()


@given(seed=st.integers(min_value=0, max_value=2**63))
def test_every_bar_could_have_been_left_by_a_path(seed: int) -> None:
    sessions = SESSIONS[18:22]

    episodes, noise = generate_bars(sessions, seed, MES).bars, random_walk_bars(sessions, seed, MES)

    assert broken_bars(episodes) == 0
    assert broken_bars(noise) == 0


def test_the_law_of_bars_would_notice_a_broken_bar() -> None:
    bars = random_walk_bars(SESSIONS[:1], 7, MES)

    planted = bars.with_columns(
        high_ticks=pl.when(pl.col("minute") == 100)
        .then(pl.col("low_ticks") - 1)
        .otherwise("high_ticks")
    )

    assert broken_bars(planted) == 1


def test_the_level_stays_near_its_base_over_ten_years_and_inside_the_limit_band() -> None:
    daily = (
        generate_bars(weekdays(3591), 7, MES)
        .bars.group_by("session_date", maintain_order=True)
        .agg(
            pl.col("close_ticks").last(),
            highest=pl.col("high_ticks").max(),
            lowest=pl.col("low_ticks").min(),
        )
        .with_columns(settled=pl.col("close_ticks").shift())
    )

    assert daily.height == 2565
    assert daily["lowest"].min() > 21_000  # 5,250 points.
    assert daily["highest"].max() < 27_000
    worst = daily.select(
        (
            pl.max_horizontal(
                pl.col("highest") / pl.col("settled") - 1, 1 - pl.col("lowest") / pl.col("settled")
            )
        ).max()
    ).item()
    assert worst < 0.05


def test_noise_is_the_same_market_without_its_episodes() -> None:
    sessions = SESSIONS[:20]
    generated, noise = generate_bars(sessions, 7, MES), random_walk_bars(sessions, 7, MES)

    first_episode = generated.labels.group_by("session_date").agg(pl.col("from_minute").min())
    before = generated.bars.join(first_episode, on="session_date", how="left").filter(
        pl.col("minute") < pl.col("from_minute").fill_null(390)
    )

    same = before.select("closes_at", *PRICES, "volume").join(
        noise.select("closes_at", *PRICES, "volume"), on=["closes_at", *PRICES, "volume"]
    )
    assert same.height == before.height > 0


def test_moving_the_level_moves_prices_and_nothing_else() -> None:
    usual = generate_bars(SESSIONS, 7, MES)

    moved = generate_bars(SESSIONS, 7, MES, MarketScale(level_points=Decimal(12_000)))

    assert moved.labels.equals(usual.labels)
    assert moved.bars.equals(usual.bars.with_columns(pl.col(name) + 24_000 for name in PRICES))


def test_a_finer_grid_multiplies_moves_and_another_lot_multiplies_volume() -> None:
    usual = generate_bars(SESSIONS, 7, MES)

    scaled = generate_bars(SESSIONS, 7, MES, MarketScale(tick_multiple=3, volume_unit=2)).bars

    expected = usual.bars.with_columns(
        *((pl.col(name) - 24_000) * 3 + 24_000 for name in PRICES),
        *(pl.col(name) * 2 for name in ("volume", "trades")),
    )
    assert scaled.equals(expected)


def test_every_kind_of_episode_occurs_in_ten_weeks() -> None:
    labels = generate_bars(SESSIONS, 7, MES).labels

    assert set(labels["kind"]) == {kind.value for kind in EpisodeKind}


def test_impossible_requests_are_refused() -> None:
    saturday = datetime(2024, 11, 2, 14, 30, tzinfo=UTC)
    closed = Session(
        session_date=saturday.date(),
        opens_at=saturday,
        closes_at=saturday + timedelta(minutes=390),
        prior_session_date=None,
    )

    with pytest.raises(CalendarError, match="2024-11-02"):
        generate_bars([closed], 7, MES)
    with pytest.raises(CalendarError, match="390"):
        generate_bars([], 7, MES)
    with pytest.raises(SettingsError, match="-1"):
        generate_bars(SESSIONS[:1], -1, MES)
    with pytest.raises(OffGridPrice, match=r"6000\.1"):
        generate_bars(SESSIONS[:1], 7, MES, MarketScale(level_points=Decimal("6000.1")))
