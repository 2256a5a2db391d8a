"""A session from its open to its close, over the exchange in this process."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from lever_stage import kept_broker
from session_stage import SessionStage, bars_of_session, entry_minute, session, simulated

from engine.broker import QueryBroker
from engine.desk import SessionClosed, SessionOpened, fact_of
from engine.desk.facts import IntentRecorded
from engine.errors import InputRefused
from engine.journal import Kind, Verified
from engine.ladder import Reason
from pipelines.journal_store import JournalReader
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session.plan import Ending


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    stage = SessionStage(tmp_path_factory.mktemp("home"))
    return stage, stage.run(simulated())


def test_every_bar_is_decided_once_and_the_session_is_closed_with_its_equity(played):
    stage, result = played

    opened, *_, closed = [fact_of(event) for event in stage.events(Kind.SESSION)]
    decided = Counter(event.at for event in stage.events(Kind.DECISION))
    assert isinstance(opened, SessionOpened)
    assert closed == SessionClosed(at=session().closes_at, position=0, equity_usd=result.equity_usd)
    assert result.ending is Ending.CLOSED
    assert len(decided) == 390
    assert set(decided.values()) == {1}
    assert result.actions["ENTER"] == sum(result.exits.values()) == 2
    assert isinstance(JournalReader(stage.journal).verify(), Verified)


def test_the_broker_is_asked_before_anything_else_is(played):
    stage, _ = played

    first = next(fact for fact in map(fact_of, stage.events(Kind.INTENT)))

    assert isinstance(first, IntentRecorded)
    assert isinstance(first.command, QueryBroker)


def test_the_bars_are_offered_as_they_were_checked(played):
    _, result = played

    same = ["opens_at", "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume"]
    assert result.bars.select(same).equals(bars_of_session().select(same))
    assert result.rejected.height == 0
    assert result.bars_path.is_file()


def test_the_heartbeat_tells_how_it_ended(played):
    stage, _ = played

    beat = Heartbeat.read(stage.files.heartbeat)

    assert beat is not None
    assert (beat.run, beat.position, beat.bars) == (RunState.CLOSED, 0, 390)
    assert beat.is_alive
    assert not stage.files.holder.exists()


def test_a_session_that_is_over_is_not_opened_again(played):
    stage, _ = played

    with pytest.raises(InputRefused, match="was closed at"):
        stage.run(simulated())


def without_the_session_before(home: Path) -> SessionStage:
    stage = SessionStage(home)
    forget_the_session_before(home)
    return stage


def forget_the_session_before(home: Path) -> None:
    for kept in home.rglob(f"{session().prior_session_date}.parquet"):
        kept.unlink()


def test_a_session_is_not_opened_on_what_an_older_day_left(tmp_path):
    stage = without_the_session_before(tmp_path)
    day, wanted = session().session_date, session().prior_session_date
    older = stage.market.session_dates("bars", "MES")[-1]

    with pytest.raises(InputRefused) as refused:
        stage.run(simulated())

    assert str(refused.value) == (
        f"session {day}: the context knows {older}, expected {wanted}, the session before {day}; "
        f"bring it: run the job market_day for {wanted}, then preopen for {day}"
    )
    assert stage.events() == []


def test_a_rehearsal_over_a_hole_in_history_goes_on_and_says_so(tmp_path):
    stage = without_the_session_before(tmp_path)

    result = stage.run(simulated(), is_rehearsal=True)

    assert result.ending is Ending.CLOSED
    assert any("the context knows" in line for line in stage.lines)


def test_a_position_is_looked_after_even_when_the_day_before_is_lost(holding):
    forget_the_session_before(holding.home)

    result = holding.run(kept_broker(holding))

    assert result.state.position == 0
    assert sum(result.exits.values()) == 1


def test_a_late_start_decides_the_missed_bars_and_enters_on_none_of_them(tmp_path):
    stage = SessionStage(tmp_path)
    late = session().opens_at + timedelta(minutes=entry_minute() + 3)

    result = stage.run(simulated(minutes=entry_minute() + 4, starts_at=late))

    missed = [json.loads(e.payload) for e in stage.events(Kind.DECISION)][entry_minute()]
    assert missed["reason"] == Reason.FEED_NOT_LIVE
    assert "market data is not live" in missed["sentence"]
    assert sum(result.actions.values()) == entry_minute() + 4
    assert "ENTER" not in result.actions
