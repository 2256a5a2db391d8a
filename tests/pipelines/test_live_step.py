"""The live path: the same records as the replay's, durable before a command is handed out."""

from datetime import timedelta
from decimal import Decimal

import pytest
from replay_market import RULES, market, settings

from engine.broker import AccountReported, BrokerSnapshot, PlaceBracket, QueryBroker
from engine.desk import EMPTY, ClockTicked, Desk, fact_of, fold
from engine.errors import JournalError
from engine.exchange import Exchange, exchange_settings
from engine.journal import Kind, Stamp, Verified
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.live_step import LiveStep
from pipelines.replay_sessions import played_sessions
from pipelines.shadow import ShadowDesk

MARKET = market(8)
PLAYED = list(played_sessions(MARKET.contexts, MARKET.bars, RULES, settings(jumps=False)))
ENTERING = next(s for s in PLAYED if any(row.may_enter for row in s.rows))
BARS = MARKET.bars.filter(MARKET.bars["session_date"] == ENTERING.opened.session_date)
ENTRY_MINUTE = next(row.minute for row in ENTERING.rows if row.may_enter)
STAMP = Stamp(ENTERING.opened.session_date, RULES.contracts_hash, "test")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def writer(path):
    with JournalWriter(path) as writer:
        yield writer


def live(writer, state=EMPTY) -> LiveStep:
    return LiveStep(RULES, MARKET.contexts, writer, STAMP, state)


def opened(writer) -> LiveStep:
    """A live desk at the bell, its account known and its picture reconciled."""
    desk = live(writer)
    desk.deliver(ENTERING.opened)
    at = ENTERING.opened.at
    desk.deliver(
        AccountReported(at=at, equity_usd=Decimal(5000), available_funds_usd=Decimal(5000))
    )
    desk.deliver(empty_at(at))
    return desk


def empty_at(at) -> BrokerSnapshot:
    return BrokerSnapshot(at=at, positions=(), working=(), completed=(), executions=())


def play(desk: LiveStep, minutes: int) -> list:
    """All bars of the first minutes, told at once as after a late start."""
    return list(desk.close_bars(BARS.head(minutes)))


def replayed_decisions(count: int) -> list[str]:
    """Payloads of the first decisions of the same session, replayed on an empty desk."""
    exchange = Exchange(exchange_settings(RULES, Decimal(5000)))
    shadow = ShadowDesk(Desk(RULES), EMPTY, exchange)
    shadow.deliver((ENTERING.opened,))
    for row in ENTERING.rows[:count]:
        shadow.play_bar(row)
    return [entry.payload for entry in shadow.entries if entry.kind == Kind.DECISION]


def test_each_closed_bar_leaves_the_records_of_the_replay(writer, path):
    desk = opened(writer)

    for minute in range(8):
        desk.close_bars(BARS.head(minute + 1))

    kinds = (Kind.BAR, Kind.DECISION)
    recorded = [event.payload for event in JournalReader(path).events(kinds=kinds)]
    assert recorded[::2] == [row.bar_json for row in ENTERING.rows[:8]]
    assert recorded[1::2] == replayed_decisions(8)


def test_bars_that_were_missed_get_their_decisions_with_the_next_one(writer):
    desk = opened(writer)
    play(desk, 10)

    desk.close_bars(BARS.head(14))
    desk.close_bars(BARS.head(14))

    assert len(desk.decisions) == 14


def test_an_entry_waits_for_the_broker_and_is_on_disk_before_it_is_handed_out(writer, path):
    desk = opened(writer)

    asked = play(desk, ENTRY_MINUTE + 1)
    closes_at = ENTERING.rows[ENTRY_MINUTE].closes_at
    sent = desk.deliver(empty_at(closes_at + timedelta(milliseconds=200)))

    assert asked == [QueryBroker(cause="before entry")]
    assert isinstance(sent[0], PlaceBracket)
    on_disk = [fact_of(e).command for e in JournalReader(path).events(kinds=(Kind.INTENT,))]
    assert on_disk[-1] == sent[0]


def test_an_entry_decided_on_a_bar_that_is_no_longer_fresh_is_not_sent(writer):
    desk = opened(writer)
    play(desk, ENTRY_MINUTE + 1)

    closes_at = ENTERING.rows[ENTRY_MINUTE].closes_at
    sent = desk.deliver(empty_at(closes_at + timedelta(seconds=91)))

    assert sent == ()
    assert desk.state.trade is None


def test_a_desk_struck_down_wakes_from_the_file_and_sends_nothing_twice(writer, path):
    desk = opened(writer)
    play(desk, ENTRY_MINUTE + 1)
    closes_at = ENTERING.rows[ENTRY_MINUTE].closes_at
    sent = desk.deliver(empty_at(closes_at + timedelta(milliseconds=200)))

    woken = live(writer, fold(map(fact_of, JournalReader(path).events()), RULES))
    absent = woken.deliver(empty_at(closes_at + timedelta(seconds=10)))

    assert woken.state.trade is None
    assert sent[0].entry_ref in {order.ref for order in woken.state.orders.all}
    assert not any(isinstance(command, PlaceBracket) for command in absent)


def test_when_the_disk_refuses_nothing_is_believed_that_is_not_on_it(writer, path):
    desk = opened(writer)
    writer._connection.execute("pragma max_page_count = 1")

    with pytest.raises(JournalError, match="full"):
        play(desk, 40)

    assert isinstance(JournalReader(path).verify(), Verified)
    on_disk = fold(map(fact_of, JournalReader(path).events()), RULES)
    assert on_disk == desk.state


def test_a_clock_with_nothing_to_do_leaves_no_record(writer):
    desk = opened(writer)
    head = writer.head

    desk.deliver(ClockTicked(at=ENTERING.opened.at + timedelta(seconds=1)))

    assert writer.head == head
    assert not desk.wants_clock
