"""The player: what it tells, in which order, and at whose pace."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from contracts import load_rules
from engine.bars import BAR_COLUMNS
from engine.errors import InputRefused
from pipelines.gateway.clock import MarketClock, Pace
from pipelines.gateway.market import Quote, Trade
from pipelines.gateway.player import Player, prints_of
from pipelines.gateway.recording import Recording, recorded_sessions
from pipelines.gateway.tape import MINUTE, TapeBar, five_second_bars, minute_from

RULES = load_rules("MES")
FIRST, SECOND = date(2025, 1, 2), date(2025, 1, 3)
OPENS_AT = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def row(opens_at: datetime, minute: int, close: int) -> dict[str, object]:
    return {
        "symbol": "MES",
        "session_date": opens_at.date(),
        "opens_at": opens_at + minute * MINUTE,
        "closes_at": opens_at + (minute + 1) * MINUTE,
        "minute": minute,
        "open_ticks": close - 3,
        "high_ticks": close + 2,
        "low_ticks": close - 5,
        "close_ticks": close,
        "volume": 120,
        "trades": 60,
        "bid_ticks": close - 1,
        "ask_ticks": close,
        "source": "test",
    }


def bars(*minutes_by_day: tuple[int, ...]) -> pl.DataFrame:
    rows = [
        row(OPENS_AT + day * DAY, minute, 24_000 + 10 * day + minute)
        for day, minutes in enumerate(minutes_by_day)
        for minute in minutes
    ]
    return pl.DataFrame(rows, schema_overrides=BAR_COLUMNS).select(
        pl.col(name) if name in rows[0] else pl.lit(None, dtype).alias(name)
        for name, dtype in BAR_COLUMNS.items()
    )


@dataclass
class Listener:
    """Writes down what it is told, and at which market time."""

    now: Callable[[], datetime]
    told: list[tuple[datetime, object]] = field(default_factory=list)

    def on_five_second_bar(self, bar: TapeBar) -> None:
        self.told.append((self.now(), bar))

    def on_quote(self, quote: Quote) -> None:
        self.told.append((self.now(), quote))

    def on_trade(self, trade: Trade) -> None:
        self.told.append((self.now(), trade))

    def advance(self, at: datetime) -> None:
        self.told.append((self.now(), at))

    def of(self, kind: type) -> list:
        return [what for _, what in self.told if isinstance(what, kind)]


@dataclass
class Crowd:
    """Clients that keep up, or from a time on let the player wait for an event."""

    asked: int = 0
    slow_from: int = 1
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event | None = None

    async def caught_up(self, timeout_seconds: float) -> bool:
        self.asked += 1
        if self.ready is not None and self.asked >= self.slow_from:
            self.slow.set()
            await self.ready.wait()
        return True


@dataclass
class Wall:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def stage(frame: pl.DataFrame, pace: str = "max", **options) -> tuple[Player, Recording, Listener]:
    sessions = recorded_sessions(frame, RULES)
    clock = MarketClock(sessions[0].session.opens_at - DAY, Pace.of(pace))
    recording = Recording(sessions, RULES, clock)
    player = Player(recording, clock, **options)
    return player, recording, Listener(now=clock.now)


async def played(player: Player, listener: Listener, crowd: Crowd | None = None) -> None:
    await player.play(listener, crowd or Crowd())


def test_every_minute_of_a_session_is_told_in_twelve_bars_each_at_its_close() -> None:
    frame = bars((0, 1, 3))
    player, _, listener = stage(frame)

    asyncio.run(played(player, listener))

    told = [(at, what) for at, what in listener.told if isinstance(what, TapeBar)]
    assert len(told) == 390 * 12 == player.bars_told
    assert all(at == bar.closes_at for at, bar in told)
    minutes = [minute_from([bar for _, bar in told[n : n + 12]]) for n in range(0, len(told), 12)]
    assert [minute.close_ticks for minute in minutes[:5]] == [
        24_000,
        24_001,
        24_001,
        24_003,
        24_003,
    ]
    assert [minute.volume for minute in minutes[:5]] == [120, 120, 0, 120, 0]
    assert listener.told[-1] == (OPENS_AT + 390 * MINUTE, OPENS_AT + 390 * MINUTE)


def test_a_quote_comes_before_the_bar_that_closes_on_it_and_only_when_it_changed() -> None:
    player, _, listener = stage(bars((0,)))

    asyncio.run(played(player, listener))

    quotes = listener.of(Quote)
    assert all(
        (a.bid_ticks, a.ask_ticks) != (b.bid_ticks, b.ask_ticks) for a, b in pairwise(quotes)
    )
    last = max(index for index, (_, what) in enumerate(listener.told) if isinstance(what, Quote))
    after = next(what for _, what in listener.told[last:] if isinstance(what, TapeBar))
    assert quotes[-1] == (after.closes_at, 23_999, 24_000, 1, 1)


def test_the_prints_of_a_minute_have_its_open_extremes_close_and_volume() -> None:
    minute = recorded_sessions(bars((0,)), RULES)[0].minutes[0]

    prints = [trade for part in five_second_bars(minute) for trade in prints_of(part)]

    prices = [trade.price_ticks for trade in prints]
    assert (prices[0], max(prices), min(prices), prices[-1]) == (23_997, 24_002, 23_995, 24_000)
    assert sum(trade.size for trade in prints) == 120
    assert all(a.at <= b.at for a, b in pairwise(prints))


def test_time_jumps_from_one_session_to_a_minute_before_the_next() -> None:
    player, recording, listener = stage(bars((0,), (0,)))

    asyncio.run(played(player, listener))

    opens = [bar.opens_at for bar in listener.of(TapeBar)]
    gaps = [b - a for a, b in pairwise(opens) if b - a != timedelta(seconds=5)]
    assert gaps == [DAY - 390 * MINUTE + timedelta(seconds=5)]
    assert recording.now() == OPENS_AT + DAY + 390 * MINUTE


def test_the_clock_stands_a_minute_before_the_bell_until_the_market_is_played() -> None:
    _, recording, _ = stage(bars((0,)), "1000")

    assert recording.now() == OPENS_AT - MINUTE


def test_only_the_chosen_sessions_are_played_and_the_others_are_history() -> None:
    player, recording, listener = stage(bars((0, 1), (0,)), session_dates=[SECOND])

    before = recording.minutes(OPENS_AT, OPENS_AT + 9 * DAY)
    asyncio.run(played(player, listener))

    assert [minute.close_ticks for minute in before[:3]] == [24_000, 24_001, 24_001]
    assert len(before) == 390
    assert listener.of(TapeBar)[0].opens_at == OPENS_AT + DAY


def test_a_session_without_bars_is_refused_by_its_date() -> None:
    with pytest.raises(InputRefused, match="session 2025-02-03, found none; there are 2025-01-02"):
        stage(bars((0,)), session_dates=[date(2025, 2, 3)])


def test_bars_of_another_instrument_are_refused() -> None:
    with pytest.raises(InputRefused, match="expected bars of MES, got bars of ES"):
        recorded_sessions(bars((0,)).with_columns(symbol=pl.lit("ES")), RULES)


def test_history_ends_with_the_last_closed_bar() -> None:
    player, recording, _ = stage(bars((0, 1, 2)))
    all_day = (OPENS_AT, OPENS_AT + DAY)

    def at(seconds: float) -> tuple[int, int]:
        player.clock.jump(OPENS_AT + timedelta(seconds=seconds))
        return len(recording.minutes(*all_day)), len(recording.five_seconds(*all_day))

    assert at(0) == (0, 0)
    assert at(4.999999) == (0, 0)
    assert at(5) == (0, 1)
    assert at(59.999999) == (0, 11)
    assert at(60) == (1, 12)
    assert at(121) == (2, 24)


def test_history_is_cut_at_both_ends_as_asked() -> None:
    player, recording, _ = stage(bars((0, 1, 2)))
    player.clock.jump(OPENS_AT + DAY)

    minutes = recording.minutes(OPENS_AT + MINUTE, OPENS_AT + 3 * MINUTE)
    parts = recording.five_seconds(
        OPENS_AT + timedelta(seconds=50), OPENS_AT + timedelta(seconds=65)
    )

    assert [minute.close_ticks for minute in minutes] == [24_001, 24_002]
    assert [(part.opens_at - OPENS_AT).seconds for part in parts] == [50, 55, 60]


def test_at_full_speed_the_player_waits_until_the_clients_have_acted() -> None:
    player, _, listener = stage(bars((0,)))
    crowd = Crowd(slow_from=4, ready=asyncio.Event())

    async def hold_then_release() -> tuple[int, int]:
        task = asyncio.create_task(player.play(listener, crowd))
        await crowd.slow.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        held = len(listener.of(TapeBar))
        crowd.ready.set()
        await task
        return held, len(listener.of(TapeBar))

    assert asyncio.run(hold_then_release()) == (3, 390 * 12)


def test_a_wait_that_was_over_first_is_counted_and_the_market_goes_on() -> None:
    class Late(Crowd):
        async def caught_up(self, timeout_seconds: float) -> bool:
            self.asked += 1
            return self.asked != 3

    player, _, listener = stage(bars((0,)))

    asyncio.run(played(player, listener, Late()))

    assert player.times_not_kept_up == 1
    assert player.bars_told == 390 * 12


def test_by_the_clock_the_player_waits_for_nobody() -> None:
    player, _, listener = stage(bars((0,)), "1000000")
    crowd = Crowd()

    asyncio.run(played(player, listener, crowd))

    assert crowd.asked == 0
    assert player.bars_told == 390 * 12


def test_what_was_planned_for_an_instant_happens_before_anything_is_told_of_it() -> None:
    seen: list[tuple[datetime, datetime, int]] = []
    player, recording, listener = stage(
        bars((0,)),
        on_instant=lambda at: seen.append((at, recording.now(), len(listener.of(TapeBar)))),
    )

    asyncio.run(played(player, listener))

    assert seen[:2] == [
        (OPENS_AT, OPENS_AT, 0),
        (OPENS_AT + timedelta(seconds=5), OPENS_AT + timedelta(seconds=5), 1),
    ]


def test_the_clock_runs_with_the_wall_but_not_past_what_comes_next() -> None:
    wall = Wall()

    async def readings() -> list[float]:
        clock = MarketClock(OPENS_AT, Pace.of("10x"), wall=wall)
        read = [(clock.now() - OPENS_AT).total_seconds()]
        wall.seconds = 3.0
        read.append((clock.now() - OPENS_AT).total_seconds())
        reaching = asyncio.create_task(clock.reach(OPENS_AT + timedelta(seconds=20)))
        await asyncio.sleep(0)
        wall.seconds = 1.5
        read.append((clock.now() - OPENS_AT).total_seconds())
        wall.seconds = 60.0
        read.append((clock.now() - OPENS_AT).total_seconds())
        reaching.cancel()
        return read

    assert asyncio.run(readings()) == [0.0, 0.0, 15.0, 20.0]


def test_a_pause_stops_the_clock_and_what_was_paused_is_not_made_up_for() -> None:
    wall = Wall()

    async def readings() -> list[float]:
        clock = MarketClock(OPENS_AT, Pace.of("1"), wall=wall)
        reaching = asyncio.create_task(clock.reach(OPENS_AT + timedelta(seconds=100)))
        await asyncio.sleep(0)
        wall.seconds = 10.0
        clock.pause()
        wall.seconds = 50.0
        read = [(clock.now() - OPENS_AT).total_seconds()]
        clock.go_on()
        wall.seconds = 55.0
        read.append((clock.now() - OPENS_AT).total_seconds())
        reaching.cancel()
        return read

    assert asyncio.run(readings()) == [10.0, 15.0]


@pytest.mark.parametrize("words", ["0", "-1", "fast", "nan", "inf", ""])
def test_a_speed_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(InputRefused, match="expected max or a number above 0"):
        Pace.of(words)


def test_a_speed_may_be_written_as_people_write_it() -> None:
    assert [Pace.of(words).speed for words in ("max", "1", "60x", "2.5", 10)] == [
        None, 1.0, 60.0, 2.5, 10.0,
    ]  # fmt: skip
