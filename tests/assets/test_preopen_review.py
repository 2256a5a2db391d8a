"""The review before the open: each expectation is seen failing on its own anomaly."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest
from lineage import LAST_DAY, Lineage

from assets.preopen_review import HISTORY_MIN, review_session
from assets.report.preopen import preopen_material
from assets.report.today import today, wrong
from contracts.calendar import session_on

Change = Callable[[pl.DataFrame], pl.DataFrame]
REVIEWED = "2024-07-09"
BAND = 0.07


@pytest.fixture(scope="module")
def sound(pristine: Lineage) -> pl.DataFrame:
    return pristine.wiring.market.read("bars", "MES", date(2024, 6, 24), date(2024, 7, 9))


def failures(sound: pl.DataFrame, change: Change, history: int = 20) -> set[tuple[str, str]]:
    """Expectations not met once the reviewed session was changed."""
    newest = pl.col("session_date") == date.fromisoformat(REVIEWED)
    days = sound.filter(~newest)["session_date"].unique().sort().tail(history)
    prior = sound.filter(pl.col("session_date").is_in(days.implode()))
    changed = change(sound.filter(newest))
    review = review_session(changed, prior, minutes=390, price_band_share=BAND)
    assert review.passed == (not [each for each in review.findings if not each.passed])
    return {
        (each.expectation.removesuffix("_to_be_between"), each.column)
        for each in review.findings
        if not each.passed
    }


def first_rows(count: int, **columns: pl.Expr) -> Change:
    early = pl.col("minute") < count
    return lambda bars: bars.with_columns(
        pl.when(early).then(value).otherwise(pl.col(name)).cast(bars.schema[name]).alias(name)
        for name, value in columns.items()
    )


def every_price(change: Callable[[pl.Expr], pl.Expr]) -> Change:
    return lambda bars: bars.with_columns(
        change(pl.col("^(open|high|low|close|bid|ask)_ticks$")).cast(pl.Int32)
    )


SPREAD = pl.col("ask_ticks") - pl.col("bid_ticks")
ANOMALIES: dict[str, tuple[Change, set[tuple[str, str]]]] = {
    "minutes are missing": (
        lambda bars: bars.filter(pl.col("minute") >= 20),
        {("table_row_count", "all rows")},
    ),
    "a minute comes twice": (
        lambda bars: bars.with_columns(
            minute=pl.when(pl.col("minute") == 5).then(6).otherwise("minute")
        ),
        {("column_values_to_be_unique", "minute")},
    ),
    "nobody traded for ten minutes": (
        first_rows(10, volume=pl.lit(0)),
        {("column_values", "volume")},
    ),
    "the spread is wide for half an hour": (
        first_rows(30, ask_ticks=pl.col("bid_ticks") + 12),
        {("column_values", "spread_ticks")},
    ),
    "the quotes are not around the trades": (
        first_rows(30, bid_ticks=pl.col("bid_ticks") + 30, ask_ticks=pl.col("ask_ticks") + 30),
        {("column_values", "close_outside_quotes_ticks")},
    ),
    "the price is beyond its limit": (
        every_price(lambda price: price * 1.08),
        {("column_max", "move_share"), ("column_max", "open_gap_ticks")},
    ),
    "five times the volume": (
        lambda bars: bars.with_columns(volume=pl.col("volume") * 5),
        {("column_mean", "volume_total")},
    ),
    "five times the range": (
        lambda bars: bars.with_columns(
            high_ticks=pl.col("low_ticks") + 5 * (pl.col("high_ticks") - pl.col("low_ticks"))
        ),
        {("column_mean", "range_ticks")},
    ),
    "one bar wider than any": (
        first_rows(1, high_ticks=pl.col("low_ticks") + 600),
        {("column_max", "range_ticks")},
    ),
    "a gap between two sessions": (
        every_price(lambda price: price + 1_000),
        {("column_max", "open_gap_ticks")},
    ),
    "quotes always five times as wide": (
        lambda bars: bars.with_columns(ask_ticks=pl.col("bid_ticks") + 5 * SPREAD),
        {("column_mean", "spread_ticks")},
    ),
}


def test_a_session_like_those_before_it_meets_every_expectation(sound: pl.DataFrame) -> None:
    assert failures(sound, lambda bars: bars) == set()


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_an_anomaly_fails_its_own_expectation(sound: pl.DataFrame, anomaly: str) -> None:
    change, expected = ANOMALIES[anomaly]

    assert expected <= failures(sound, change) <= expected | {("column_max", "range_ticks")}


def test_the_anomalies_cover_every_expectation(sound: pl.DataFrame) -> None:
    newest = pl.col("session_date") == date.fromisoformat(REVIEWED)
    review = review_session(
        sound.filter(newest), sound.filter(~newest), minutes=390, price_band_share=BAND
    )

    asked = {
        (each.expectation.removesuffix("_to_be_between"), each.column) for each in review.findings
    }

    assert asked == set().union(*(expected for _, expected in ANOMALIES.values()))
    assert "preopen" in review.page


def test_with_little_history_only_what_holds_of_any_session_is_asked(sound: pl.DataFrame) -> None:
    change, _ = ANOMALIES["five times the volume"]

    assert failures(sound, change, history=HISTORY_MIN - 1) == set()
    assert failures(sound, change, history=HISTORY_MIN) == {("column_mean", "volume_total")}


def test_the_desk_does_not_open_on_a_session_that_failed_its_review(damaged: Lineage) -> None:
    change, _ = ANOMALIES["five times the volume"]
    green = damaged.run("preopen", LAST_DAY)
    damaged.damage("bars", REVIEWED, change)

    red = damaged.run("preopen", LAST_DAY)

    assert green.success
    assert not red.success
    verdicts = {each.check_name: each for each in red.get_asset_check_evaluations()}
    review = verdicts["preopen_review"]
    assert "11 of 12 expectations met, against 10 prior sessions; not met: volume_total" in (
        review.description or ""
    )
    first = review.metadata["findings"].records[0].data
    assert (first["passed"], first["column"]) == ("NO", "volume_total")
    assert (damaged.root / "reports" / f"preopen-MES-{LAST_DAY}.html").stat().st_size > 10_000


def test_the_desk_does_not_open_on_the_session_before_the_one_that_is_missing(
    damaged: Lineage,
) -> None:
    for kept in (damaged.root / "market").rglob(f"{REVIEWED}.parquet"):
        kept.unlink()

    red = damaged.run("preopen", LAST_DAY)

    assert not red.success
    verdicts = {each.check_name: each for each in red.get_asset_check_evaluations()}
    review = verdicts["preopen_review"]
    assert not review.passed
    assert review.description == (
        "2024-07-08: 11 of 12 expectations met, against 9 prior sessions; not met: "
        "prior_session_date 2024-07-08 (2024-07-09, the session before 2024-07-10; bring it: run "
        "the job market_day for 2024-07-09, then preopen for 2024-07-10)"
    )
    material = preopen_material(
        damaged.wiring.market,
        damaged.wiring.warehouse,
        session_on(date.fromisoformat(LAST_DAY), damaged.wiring.rules.session),
        damaged.wiring.rules,
        damaged.wiring.kill_switch(),
    )
    assert material is not None
    assert wrong(material)[0].text.startswith(
        "prior session date: 2024-07-08 came, 2024-07-09, the session before 2024-07-10;"
    )
    assert today(material)[0].text.startswith("It does not open: the review is not green.")


def test_the_first_session_of_all_is_reviewed_by_nobody(fresh: Callable[..., Lineage]) -> None:
    result = fresh("home").run("preopen", "2024-07-02")

    verdicts = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert not verdicts["preopen_review"].passed
    assert verdicts["preopen_review"].description == (
        "no session is stored before 2024-07-02: nothing to review"
    )
