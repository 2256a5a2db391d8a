"""A whole session through the adapter, its latency, its memory, and history for an ingest."""

import gc
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median, quantiles

import polars as pl
import psutil
import pytest
from brokers.gateway_bench import QUICK, RULES, bench, flat_session, part_at
from exchange_tables import OPEN_AT

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.broker import BarReported, FeedReported, FeedState
from engine.errors import SourceError
from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings
from pipelines.brokers.ibkr.pacing import PacingBudget
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.sources.ibkr import IbkrSource

DAY = OPEN_AT.date()
WHOLE_SESSION_SECONDS = 60.0


def watched_session(gateway: RunningGateway) -> tuple[list[BarReported], list[FeedState]]:
    """Every minute of the session that a gateway plays, read as a session run reads."""
    settings = IbkrSettings(port=gateway.address.port, clock=ClockKind.TOLD)
    broker = IbkrBroker(settings, RULES)
    bars: list[BarReported] = []
    feed: list[FeedState] = []
    broker.connect()
    broker.subscribe("MES")
    deadline = time.monotonic() + WHOLE_SESSION_SECONDS
    while len(bars) < 390 and time.monotonic() < deadline:
        broker.wait(0.5)
        told = broker.told()
        bars += [report for report in told if isinstance(report, BarReported)]
        feed += [report.state for report in told if isinstance(report, FeedReported)]
        broker.caught_up()
    broker.close()
    return bars, feed


def test_a_whole_session_is_told_minute_by_minute_as_it_was_recorded() -> None:
    recorded = flat_session(20_000)

    with running_gateway(recorded, RULES, GatewaySettings()) as gateway:
        bars, feed = watched_session(gateway)
        kept_up = gateway.status()["times_not_kept_up"]

    tick = RULES.instrument.tick_size
    assert [bar.opens_at for bar in bars] == recorded["opens_at"].to_list()
    assert [int(Decimal(bar.close) / tick) for bar in bars] == recorded["close_ticks"].to_list()
    assert [int(Decimal(bar.high) / tick) for bar in bars] == recorded["high_ticks"].to_list()
    assert [bar.volume for bar in bars] == recorded["volume"].to_list()
    assert [bar.trades for bar in bars] == recorded["trades"].to_list()
    assert not any(bar.is_backfill for bar in bars)
    assert all(bar.at == bar.opens_at.replace(second=0) + (bar.at - bar.opens_at) for bar in bars)
    assert feed == [FeedState.LIVE]
    assert kept_up == 0


def test_a_closed_minute_is_in_the_inbox_within_milliseconds() -> None:
    """Wall time from the gateway's hand to ours, over two sockets' ends and a thread."""
    told_at: list[float] = []
    heard_at: list[float] = []

    with bench(price_ticks=20_000) as made:

        def tell(gateway: Gateway) -> None:
            part = part_at(12 + 12 * len(told_at) + 11, 20_000)
            gateway.clock.jump(part.closes_at)
            told_at.append(time.perf_counter())
            gateway.venue.on_five_second_bar(part)

        made.broker.told()
        for minute in range(1, 101):
            for number in range(11):
                made.tell(part_at(12 * minute + number, 20_000))
            made.settle()
            made.broker.told()
            made.call(tell)
            while len(heard_at) < minute and made.broker.wait(5.0):
                now = time.perf_counter()
                if any(isinstance(report, BarReported) for report in made.broker.told()):
                    heard_at.append(now)

    seconds = [heard - told for told, heard in zip(told_at, heard_at, strict=True)]
    print(f"p50 {median(seconds) * 1000:.1f} ms, p99 {quantiles(seconds, n=100)[98] * 1000:.1f} ms")
    assert median(seconds) < 0.020


def test_nothing_of_a_connection_is_left_when_it_is_closed() -> None:
    with bench() as made:
        first = made.made(client_id=2)
        first.connect()
        first.close()
        threads = threading.active_count()
        gc.collect()
        sockets = len(psutil.Process().net_connections())

        for _ in range(5):
            again = made.made(client_id=2)
            again.connect()
            again.close()

        gc.collect()
        assert threading.active_count() == threads
        assert len(psutil.Process().net_connections()) <= sockets + 1


# ── History for an ingest ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    """Two sessions that a gateway has in its history."""
    first = flat_session(20_000)
    days = pl.duration(days=1)
    second = flat_session(20_010).with_columns(
        pl.col("opens_at") + days, pl.col("closes_at") + days, pl.col("session_date") + days
    )
    return pl.concat([first, second])


def source(gateway: RunningGateway) -> IbkrSource:
    settings = IbkrSettings(port=gateway.address.port, wants_paper=False, patience=QUICK)
    return IbkrSource(settings=settings)


def after(gateway: RunningGateway, day: date) -> None:
    """Let the gateway's market stand after the sessions of a day."""
    evening = datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    gateway.call(lambda running: running.clock.jump(evening))


def test_history_becomes_the_bars_that_were_recorded(history: pl.DataFrame) -> None:
    last = DAY.replace(day=DAY.day + 1)
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, last)
        raw = source(gateway).read("MES", DAY, last)

    checked = check_bars(raw, RULES.instrument, sessions_between(DAY, last, RULES.session))
    columns = ["session_date", "minute", "open_ticks", "high_ticks", "low_ticks", "close_ticks"]
    columns += ["volume", "trades"]
    assert checked.rejected.height == 0
    assert checked.bars.select(columns).equals(history.select(columns))
    assert checked.bars["source"].unique().to_list() == ["ibkr:MESH4"]
    assert checked.bars["bid_ticks"].null_count() == 780


def test_a_session_read_twice_is_asked_for_once(history: pl.DataFrame) -> None:
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        bars = source(gateway)
        first = bars.read("MES", DAY, DAY)
        second = bars.read("MES", DAY, DAY)

    assert first.height == 390
    assert second.equals(first)


@pytest.mark.parametrize("second", [0, 59])
def test_the_minute_that_still_grows_is_no_bar_yet(history: pl.DataFrame, second: int) -> None:
    opens_at: datetime = history["opens_at"][0]
    present = opens_at + timedelta(minutes=10, seconds=second)
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        raw = replace(source(gateway), now=lambda: present).read("MES", DAY, DAY)

    minutes = [opens_at + timedelta(minutes=minute) for minute in range(10)]
    assert raw["opens_at"].to_list() == minutes


def test_a_session_read_before_its_end_is_asked_for_again_when_it_is_over(
    history: pl.DataFrame,
) -> None:
    opens_at: datetime = history["opens_at"][0]
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        early = replace(source(gateway), now=lambda: opens_at + timedelta(minutes=10))
        late = replace(early, now=lambda: opens_at + timedelta(hours=8), _budget=PacingBudget())
        half, twice = early.read("MES", DAY, DAY), early.read("MES", DAY, DAY)
        whole = late.read("MES", DAY, DAY)

    assert half.height == 10
    assert twice.equals(half)
    assert whole.height == 390


def test_an_ingest_of_another_hour_asks_again_for_what_was_corrected(history: pl.DataFrame) -> None:
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        early = replace(source(gateway), now=lambda: datetime(2024, 3, 8, 22, tzinfo=UTC))
        late = replace(early, now=lambda: datetime(2024, 3, 8, 23, tzinfo=UTC))
        early.read("MES", DAY, DAY)

    with pytest.raises(SourceError, match="check that IB Gateway runs"):
        late.read("MES", DAY, DAY)


def test_a_day_without_bars_is_empty_and_has_every_column(history: pl.DataFrame) -> None:
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        saturday = source(gateway).read("MES", date(2024, 3, 9), date(2024, 3, 9))
        early = source(gateway).read("MES", date(2024, 2, 5), date(2024, 2, 5))

    assert (saturday.height, early.height) == (0, 0)
    assert saturday.columns == early.columns


def test_a_gateway_that_is_not_there_is_said_in_the_words_of_a_source(
    history: pl.DataFrame,
) -> None:
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        gone = source(gateway)

    with pytest.raises(SourceError, match=r"ibkr source: .* check that IB Gateway runs"):
        gone.read("MES", DAY, DAY)


def test_an_account_that_the_login_does_not_have_is_refused(history: pl.DataFrame) -> None:
    with running_gateway(history, RULES, GatewaySettings()) as gateway:
        after(gateway, DAY)
        settings = replace(source(gateway).settings or IbkrSettings(), account="DU0000001")

        with pytest.raises(SourceError, match="expected DU0000001"):
            IbkrSource(settings=settings).read("MES", DAY, DAY)
