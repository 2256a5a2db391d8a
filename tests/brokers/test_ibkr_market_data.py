"""What IB does to bars, quotes and history, done to the adapter over a real socket."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest
from brokers.gateway_bench import IMPATIENT, RULES, bench, part_at, parts_of
from exchange_tables import instant
from ibkr_scene import Scene

from engine.broker import FeedReported, FeedState, QuoteReported
from engine.errors import BrokerMismatch, BrokerTimeout
from pipelines.brokers.ibkr.hours import regular_session
from pipelines.brokers.ibkr.pacing import BURST_PER_CONTRACT, PacingBudget
from pipelines.gateway.assembly import Gateway

# ── Farms ───────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_data_farm_spoils_the_feed_until_it_is_well(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.gateway.fault("2103")
    at.listen()
    broken = at.feed[-1]

    at.gateway.fault("2103", "off")
    at.listen()

    assert broken is FeedState.BROKEN
    assert at.feed == [FeedState.LIVE, FeedState.BROKEN, FeedState.LIVE]


IDLE = "{} data farm connection is inactive but should be available upon demand.{}"


def test_a_broken_farm_that_is_only_idle_now_spoils_the_feed_no_longer(at: Scene) -> None:
    at.bench.play(1, 100, 102, 99, 101)
    at.broadcast(2103, "Market data farm connection is broken:usfarm.us")

    at.broadcast(2108, IDLE.format("Market", "usfarm.us"))
    at.bench.play(2, 101, 103, 100, 102)
    at.listen()

    assert at.feed == [FeedState.LIVE, FeedState.BROKEN, FeedState.LIVE]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2107, IDLE.format("HMDS", "ushmds")),
        (2108, IDLE.format("Market", "usfarm.us")),
        (2105, "HMDS data farm connection is broken:ushmds"),
        (2157, "Sec-def data farm connection is broken:secdefnj"),
    ],
)
def test_an_idle_farm_and_farms_of_other_things_do_not_spoil_the_feed(
    at: Scene, code: int, text: str
) -> None:
    at.bench.play(1, 100, 102, 99, 101)

    at.broadcast(code, text)

    assert at.feed == [FeedState.LIVE]
    assert at.connections == []


# ── 10197, 354, 10167: data that may not be traded on ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("10197", FeedState.COMPETING),
        ("354", FeedState.BROKEN),
        ("delayed-data", FeedState.DELAYED),
    ],
)
def test_data_that_may_not_be_traded_on_is_told_until_it_is_live_again(
    impatient: Scene, fault: str, state: FeedState
) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()
    at.gateway.fault(fault)
    at.bench.quote(99, 100)
    for part in parts_of(2, 100, 102, 99, 101):
        at.bench.tell(part)
    at.until(lambda: at.feed[-1:] == [state], "the state of the feed is told")

    at.gateway.fault(fault, "off")
    number = iter(range(36, 4000))
    at.until(
        lambda: at.bench.tell(part_at(next(number))) or at.feed[-1] is FeedState.LIVE,
        "the feed is live again",
    )

    assert at.feed[0] is FeedState.LIVE
    assert at.feed[-2:] == [state, FeedState.LIVE]


def test_delayed_bars_never_become_minutes(at: Scene) -> None:
    at.gateway.fault("delayed-data")
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert at.bars == []


# ── History and its pace ────────────────────────────────────────────────────────────────────────


def test_old_bars_are_minutes_with_their_trades_and_without_quotes(at: Scene) -> None:
    bars = at.broker.bars("MES", instant(0))

    assert [(b.opens_at, b.open, b.volume, b.trades, b.is_backfill) for b in bars] == [
        (instant(0), 25.0, 600, 300, True)
    ]
    assert (bars[0].bid, bars[0].ask) == (None, None)


def test_the_same_question_is_not_asked_twice_within_fifteen_seconds(at: Scene) -> None:
    at.bench.call(lambda gateway: setattr(gateway.venue.switches, "enforces_pacing", True))
    at.broker.bars("MES", instant(0))

    with pytest.raises(BrokerTimeout, match="allows the next question for old bars in 1"):
        at.broker.bars("MES", instant(0))


def test_a_pace_that_the_broker_refuses_is_waited_out_within_the_bound(at: Scene) -> None:
    at.bench.call(lambda gateway: setattr(gateway.venue.switches, "enforces_pacing", True))
    at.broker.bars("MES", instant(0))
    at.broker._history._budget = PacingBudget()  # As after a restart, which forgets what it asked.

    with pytest.raises(BrokerTimeout, match="allows the next question for old bars in 15 s"):
        at.broker.bars("MES", instant(0))


def test_a_broker_that_has_no_bars_is_believed(at: Scene) -> None:
    assert at.broker.bars("MES", at.broker.now()) == []


def test_old_bars_of_another_instrument_are_refused(at: Scene) -> None:
    with pytest.raises(BrokerMismatch, match="expected MES, the desk's instrument, got ES"):
        at.broker.bars("ES", instant(0))


# ── Bars that stop ──────────────────────────────────────────────────────────────────────────────


def test_bars_that_stop_are_noticed_asked_for_again_and_filled_in(impatient: Scene) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()
    at.gateway.fault("stall-bars")
    for minute in (2, 3):
        for part in parts_of(minute, 101, 103, 100, 102):
            at.bench.tell(part)
    stale = [FeedState.LIVE, FeedState.STALE]
    at.until(lambda: [r.state for r in at.of(FeedReported)] == stale, "the silence is told")

    at.gateway.fault("stall-bars", "off")
    at.bench.play(4, 102, 104, 101, 103)
    at.until(lambda: len(at.bars) == 4, "four minutes are told")

    assert [bar.opens_at for bar in at.bars] == [instant(n) for n in (1, 2, 3, 4)]
    assert all(bar.is_backfill for bar in at.bars[1:3])
    assert at.of(FeedReported)[-1].state is FeedState.LIVE


def test_a_minute_that_must_be_asked_for_is_told_before_those_after_it(at: Scene) -> None:
    for n in range(BURST_PER_CONTRACT):  # So the question has to wait for its turn.
        contract = at.broker.contract
        assert contract is not None
        at.broker._history._budget.spend(str(contract.con_id), f"earlier {n}", time.monotonic())
    for part in parts_of(1, 100, 102, 99, 101)[:-1]:
        at.bench.tell(part)

    at.bench.play(2, 101, 103, 100, 102)
    at.bench.play(3, 101, 103, 100, 102)
    before = [bar.opens_at for bar in at.listen().bars]
    at.until(lambda: len(at.bars) == 3, "three minutes are told")

    assert before == []
    assert [(bar.opens_at, bar.is_backfill) for bar in at.bars] == [
        (instant(1), True),
        (instant(2), False),
        (instant(3), False),
    ]


def test_a_dead_subscription_is_asked_for_again_until_bars_come(impatient: Scene) -> None:
    at = impatient
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    def drop(gateway: Gateway) -> None:
        for client in gateway.server._clients.values():
            client.feeds.clear()

    at.bench.call(drop)
    number = iter(range(24, 4000))
    at.until(
        lambda: at.bench.tell(part_at(next(number))) or len(at.bars) >= 3,
        "minutes are told again",
    )

    minutes = [bar.opens_at for bar in at.bars]
    assert minutes == [instant(n) for n in range(1, 1 + len(minutes))]


def test_no_silence_is_told_while_the_market_is_closed() -> None:
    with bench(patience=IMPATIENT) as made:
        made.jump(instant(391))
        made.tell(part_at(12 * 391))
        scene = Scene(made).listen()
        scene.heard.clear()

        for _ in range(5):
            made.broker._market.look()

        assert scene.listen().of(FeedReported) == []


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2025, 3, 7), (14, 30), (21, 0)),
        (date(2025, 3, 10), (13, 30), (20, 0)),
        (date(2025, 10, 31), (13, 30), (20, 0)),
        (date(2025, 11, 3), (14, 30), (21, 0)),
        (date(2024, 7, 3), (13, 30), (17, 0)),
    ],
)
def test_the_calendar_says_when_bars_are_due(
    day: date, opens: tuple[int, int], closes: tuple[int, int]
) -> None:
    first = datetime(day.year, day.month, day.day, *opens, tzinfo=UTC)
    end = datetime(day.year, day.month, day.day, *closes, tzinfo=UTC)
    moment = timedelta(seconds=1)

    rules = RULES.session
    assert regular_session(first, rules) is not None
    assert regular_session(end - moment, rules) is not None
    assert regular_session(first - moment, rules) is None
    assert regular_session(end, rules) is None


def test_no_bars_are_due_on_a_day_without_a_session() -> None:
    saturday = datetime(2025, 3, 8, 15, 0, tzinfo=UTC)
    christmas = datetime(2024, 12, 25, 16, 0, tzinfo=UTC)

    assert regular_session(saturday, RULES.session) is None
    assert regular_session(christmas, RULES.session) is None


# ── Time and quotes ─────────────────────────────────────────────────────────────────────────────


def test_quotes_are_told_when_they_change_and_stand_in_the_minute_they_close(at: Scene) -> None:
    at.bench.quote(99, 101)
    at.bench.quote(None, 102)
    at.listen()
    at.bench.quote(100, 101)
    at.bench.play(1, 100, 102, 99, 101)
    at.until(lambda: len(at.bars) == 1, "a minute is told")

    quotes = [(q.bid, q.ask) for q in at.of(QuoteReported)]
    assert (None, 25.5) in quotes
    assert quotes[-1] == (25.0, 25.25)
    assert (at.bars[0].bid, at.bars[0].ask) == (25.0, 25.25)


def test_time_is_the_markets_and_comes_with_what_is_told(at: Scene) -> None:
    before = at.broker.now()
    at.bench.play(1, 100, 102, 99, 101)
    at.listen()

    assert before == instant(1)
    assert at.broker.now() == instant(2)
    assert [bar.at for bar in at.bars] == [instant(2)]
