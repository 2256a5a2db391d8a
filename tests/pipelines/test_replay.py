"""The replay: one digest however it is run, and a journal that tells everything."""

import json
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from replay_market import RULES, Market, market, settings

from engine.desk import Mode, Recording, fact_of, fold
from engine.errors import JournalError
from engine.journal import REPLAY_CODE, Chain, Entry, Kind, Stamp, Verified
from pipelines.journal_sink import Beginning, MemorySink, StoredSink
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.replay import ReplayResult, replay

MARKET = market(8)
TRADES = Recording.TRADES


class Kept(MemorySink):
    """Keeps what is committed, session by session."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[tuple[list[Entry], Stamp]] = []

    def commit(self, entries: list[Entry], stamp: Stamp) -> None:
        super().commit(entries, stamp)
        self.sessions.append((list(entries), stamp))

    @property
    def entries(self) -> list[Entry]:
        return [entry for entries, _ in self.sessions for entry in entries]


def played(
    market: Market = MARKET, sink: MemorySink | None = None, **changes: object
) -> ReplayResult:
    return replay(market.contexts, market.bars, RULES, settings(**changes), sink=sink)


FULL_SINK = Kept()
FULL = played(sink=FULL_SINK)


def test_a_replay_trades_and_ends_flat():
    assert len(FULL.trades) >= 4
    assert FULL.state.position == 0
    assert FULL.state.kill.is_running


def test_there_is_exactly_one_decision_for_every_bar():
    bars = Counter(entry.at for entry in FULL_SINK.entries if entry.kind == Kind.BAR)
    decisions = Counter(entry.at for entry in FULL_SINK.entries if entry.kind == Kind.DECISION)

    assert bars == decisions == Counter(MARKET.bars["closes_at"].to_list())
    assert sum(FULL.actions.values()) == MARKET.bars.height


def test_the_same_replay_has_the_same_digest_and_another_seed_another_one():
    assert played().digest == FULL.digest
    assert played(seed=1).digest != FULL.digest


def test_two_processes_have_the_same_digest():
    code = (
        "import sys; sys.path.insert(0, 'tests');"
        "from replay_market import market, settings, RULES;"
        "from pipelines.replay import replay;"
        "m = market(8); print(replay(m.contexts, m.bars, RULES, settings()).digest)"
    )
    root = Path(__file__).resolve().parents[2]
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )

    assert other.stdout.strip() == FULL.digest


@pytest.mark.parametrize("chunk", [1, 3])
def test_the_digest_does_not_depend_on_how_many_sessions_are_computed_at_once(chunk):
    assert played(chunk_sessions=chunk).digest == FULL.digest


@pytest.mark.parametrize("recording", Recording)
def test_taking_quiet_bars_at_once_or_not_at_all_changes_no_event(recording):
    walked, jumped = Kept(), Kept()

    played(sink=walked, recording=recording, jumps=False)
    played(sink=jumped, recording=recording)

    assert walked.entries == jumped.entries
    assert walked.head == jumped.head


def test_both_recordings_make_the_same_trades():
    trades = played(recording=TRADES)

    assert trades.trades == FULL.trades
    assert trades.equity_usd == FULL.equity_usd


def test_a_trade_longer_than_the_bars_made_ready_is_followed_to_its_end():
    assert played(recording=TRADES, window_bars=2).trades == FULL.trades
    assert played(window_bars=2).digest == FULL.digest


def test_the_ledger_equals_the_account():
    net = sum(Decimal(str(trade["net_usd"])) for trade in FULL.trades)

    assert list(FULL.equity_usd.values())[-1] - Decimal(5000) == net


def test_the_state_is_the_fold_of_the_journal_at_every_session():
    chain = Chain()
    facts = []
    for entries, stamp in FULL_SINK.sessions:
        facts += [fact_of(event) for event in chain.seal(entries, stamp)]

    assert fold(facts, RULES) == FULL.state


def test_observing_makes_the_trades_of_a_replay_as_shadows():
    sink = Kept()

    observed = played(sink=sink, mode=Mode.OBSERVE)

    assert observed.trades == FULL.trades
    assert '"mode":"observe"' in sink.entries[0].payload


def test_a_stored_replay_verifies_and_has_the_digest_of_one_in_memory(tmp_path):
    sink = StoredSink(tmp_path / "journal.sqlite")
    stored = replay(MARKET.contexts, MARKET.bars, RULES, settings(), sink=sink)
    sink.close()

    verified = JournalReader(tmp_path / "journal.sqlite").verify()

    assert stored.digest == FULL.digest
    assert isinstance(verified, Verified)
    assert verified.head.hash == FULL.digest


@pytest.mark.parametrize("killed_after", [1, 2_000, 3_333, 5_000, 6_500])
def test_a_replay_struck_down_at_any_event_resumes_to_the_same_digest(tmp_path, killed_after):
    path = tmp_path / "journal.sqlite"
    with JournalWriter(path) as writer:
        _write(writer, killed_after)

    sink = StoredSink(path)
    resumed = replay(MARKET.contexts, MARKET.bars, RULES, settings(), sink=sink)
    sink.close()

    assert resumed.digest == FULL.digest
    assert resumed.state == FULL.state
    assert isinstance(JournalReader(path).verify(), Verified)


def _write(writer: JournalWriter, events: int) -> None:
    """The first so many events of the full replay."""
    left = events
    for entries, stamp in FULL_SINK.sessions:
        if left > 0:
            writer.append(entries[:left], stamp)
        left -= len(entries)


def test_a_resume_over_other_bars_is_refused_at_the_first_event_that_differs(tmp_path):
    path = tmp_path / "journal.sqlite"
    with JournalWriter(path) as writer:
        _write(writer, 3_000)
    sink = StoredSink(path)
    other = market(8, seed=8)

    with pytest.raises(JournalError, match="came out different"):
        replay(other.contexts, other.bars, RULES, settings(), sink=sink)


def test_a_whole_journal_is_resumed_by_doing_nothing(tmp_path):
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        sink = StoredSink(path)
        result = replay(MARKET.contexts, MARKET.bars, RULES, settings(), sink=sink)
        sink.close()

    assert result.digest == FULL.digest
    assert result.bars == 0


def test_nothing_is_entered_in_a_no_trade_window_or_held_past_the_flatten_time():
    entered = [e.at for e in FULL_SINK.entries if '"action":"ENTER"' in e.payload]
    first_bars = MARKET.bars.filter(pl.col("minute") == 0)
    opens = dict(first_bars.select("session_date", "opens_at").iter_rows())
    minutes = [int((at - opens[at.date()]).total_seconds()) // 60 for at in entered]

    assert minutes
    assert not any(m < 5 or 120 <= m < 240 or m >= 385 for m in minutes)
    for trade in FULL.trades:
        closed_at = trade["closed_at"]
        assert closed_at <= opens[closed_at.date()] + timedelta(minutes=387)


def test_never_more_than_two_trades_a_day_and_thirty_minutes_apart():
    opened = [trade["opened_at"] for trade in FULL.trades if trade["opened_at"]]
    by_day = Counter(at[:10] for at in opened)

    assert max(by_day.values()) <= 2


def test_a_killed_replay_stays_down_unless_a_person_is_played():
    third = MARKET.bars["session_date"].unique().sort()[2]
    is_stuck = (pl.col("session_date") == third) & pl.col("minute").is_between(100, 102)
    prices = [f"{name}_ticks" for name in ("open", "high", "low", "close")]
    bars = MARKET.bars.with_columns(
        pl.when(is_stuck).then(26_500).otherwise(pl.col(price)).cast(pl.Int32).alias(price)
        for price in prices
    )
    spoiled = Market(MARKET.contexts, bars)

    down = played(spoiled)
    resumed = played(spoiled, resumes_killed=True)

    assert down.state.kill.is_killed
    assert down.reasons["KILL_SWITCH_ACTIVE"] >= 390 * 5
    assert len(down.trades) < len(resumed.trades)
    assert resumed.state.kill.is_running


def test_a_beginning_without_facts_is_the_empty_desk():
    assert Beginning().last_date is None
    assert json.loads(FULL_SINK.entries[0].payload)["fact"] == "SessionOpened"
    assert FULL_SINK.sessions[0][1].code_version == REPLAY_CODE
