"""Market data that is not live: every bar is decided and recorded, and none is entered."""

import json

import pytest
from desk_stage import PRICE, Stage, at, row, setup, snapshot

from engine.broker import FeedReported, FeedState, PlaceBracket
from engine.ladder import Reason

NOT_LIVE = [state for state in FeedState if state is not FeedState.LIVE]


def feed(state: FeedState, minute: float, text: str = "") -> FeedReported:
    return FeedReported(at=at(minute), state=state, text=text)


def last_decision(stage: Stage) -> dict[str, object]:
    return json.loads([e.payload for e in stage.entries if e.kind == "decision"][-1])


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.open_session()
    return stage


@pytest.mark.parametrize("state", NOT_LIVE)
def test_no_entry_is_decided_on_data_that_is_not_live(stage: Stage, state: FeedState):
    stage.tell(feed(state, 39))

    asked = stage.tell(row(40, PRICE, setup()))

    decision = last_decision(stage)
    assert asked == []
    assert (decision["action"], decision["reason"]) == ("SKIP", Reason.FEED_NOT_LIVE)
    assert f"skip: the market data is not live. It is {state}." in str(decision["sentence"])
    assert decision["counterfactual"] == "needs live market data"


def test_once_the_data_is_live_again_the_desk_enters(stage: Stage):
    stage.tell(feed(FeedState.STALE, 38), feed(FeedState.LIVE, 39))

    stage.tell(row(40, PRICE, setup()))
    asked = stage.tell(snapshot(41.01))

    assert isinstance(asked[-1], PlaceBracket)


def test_an_entry_that_waits_for_the_broker_is_dropped_when_the_data_stops_being_live(stage: Stage):
    stage.tell(row(40, PRICE, setup()))
    stage.tell(feed(FeedState.COMPETING, 41.005))

    asked = stage.tell(snapshot(41.01))

    assert asked == []
    assert stage.state.trade is None


def test_an_open_trade_is_managed_on_whatever_data_there_is(stage: Stage):
    stage.hold(40)

    stage.tell(feed(FeedState.STALE, 42), row(42, PRICE))

    assert last_decision(stage)["action"] == "HOLD"
    assert stage.state.position == 1


def test_the_feed_survives_a_restart_and_is_booked_once_for_each_change(stage: Stage):
    stage.tell(feed(FeedState.DELAYED, 38, "10167"), feed(FeedState.DELAYED, 39, "10167"))

    stage.wake()

    assert [fact.state for fact in stage.facts("FeedReported")] == [FeedState.DELAYED]
    assert not stage.state.is_feed_live
