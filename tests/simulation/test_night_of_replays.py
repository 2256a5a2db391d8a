"""The night over whole replays: what it rebuilds is what the desk booked and the broker paid."""

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl
import pytest
from replay_market import RULES, market, settings

from contracts.schemas import validate
from engine.exchange import FaultKind, FaultPlan
from engine.journal import Event, Kind
from engine.learning.attribution import attribution
from engine.learning.fills import execution_rows
from engine.learning.ledger_check import LedgerDifference, ledger_difference
from engine.learning.luck import peers
from engine.learning.round_trips import round_trips
from engine.market import market_frame
from engine.outcomes import outcomes
from pipelines.journal_sink import StoredSink
from pipelines.journal_store import JournalReader
from pipelines.replay import replay

SESSIONS = 40
SEED = 5
TROUBLES = FaultPlan(
    rates=dict.fromkeys(
        (
            *(FaultKind.DELAYED, FaultKind.LOST, FaultKind.DUPLICATED, FaultKind.REORDERED),
            *(FaultKind.LATE_COMMISSION, FaultKind.REJECT, FaultKind.FILL_AFTER_CANCEL),
        ),
        0.03,
    )
)


class Nights(NamedTuple):
    """All sessions: what the desk booked, what the night rebuilt, and the ledgers."""

    booked: Sequence[dict[str, Any]]
    trades: pl.DataFrame
    ledgers: list[LedgerDifference]
    seconds: list[float]


@cache
def frame() -> pl.DataFrame:
    of = market(SESSIONS, SEED)
    return market_frame(of.contexts, of.bars, RULES)


@cache
def nights(*, is_faulted: bool = False) -> Nights:
    of = market(SESSIONS, SEED)
    changes = {"faults": TROUBLES, "resumes_killed": True} if is_faulted else {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        played = settings(equity_usd=Decimal(20_000), seed=3, **changes)
        result = replay(of.contexts, of.bars, RULES, played, sink=StoredSink(path))
        reader = JournalReader(path)
        told = [list(reader.events(session_date=day)) for day in reader.sessions()]
    done = [night(events) for events in told]
    return Nights(
        [dict(trade) for trade in result.trades if trade["exit_kind"] != "never_filled"],
        pl.concat([trades for trades, _, _ in done]),
        [ledger for _, ledger, _ in done],
        [seconds for _, _, seconds in done],
    )


def night(events: list[Event]) -> tuple[pl.DataFrame, LedgerDifference, float]:
    bars = frame().filter(pl.col("session_date") == pl.lit(events[0].session_date).str.to_date())
    started = time.process_time()
    executions = execution_rows(events)
    trades = round_trips(executions, entered(events), events, bars, RULES)
    ledger = ledger_difference(trades, executions, events)
    return trades, ledger, time.process_time() - started


def entered(events: list[Event]) -> pl.DataFrame:
    """What the night reads of `decisions`."""
    rows = []
    for event in events:
        if event.kind == Kind.DECISION and '"action":"ENTER"' in event.payload:
            payload = json.loads(event.payload)
            gates = {"own": payload["own"], "market": payload["market"]}
            scores, chosen = json.dumps(payload["scores"]), payload["chosen"]
            rows.append((event.decision_id, chosen, scores, json.dumps(gates)))
    names = ("decision_id", "template", "scores_json", "gates_json")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")


@cache
def attributed() -> pl.DataFrame:
    followed = outcomes(frame(), RULES)
    compared = peers(frame(), followed, RULES)
    return attribution(nights().trades, frame(), followed, compared, RULES)


def test_the_night_rebuilds_from_executions_what_the_desk_booked() -> None:
    trades, booked = nights().trades.to_dicts(), nights().booked

    assert len(trades) > 30
    for row, trade in zip(trades, booked, strict=True):
        assert row["decision_id"] == trade["decision_id"]
        assert row["exit_kind"] == trade["exit_kind"]
        assert row["gross_ticks"] == trade["gross_ticks"]
        assert row["net_usd"] == Decimal(trade["net_usd"])
        assert row["mae_ticks"] >= -trade["mae_ticks"]
        assert row["mfe_ticks"] >= trade["mfe_ticks"]


@pytest.mark.parametrize("is_faulted", [False, True])
def test_the_trades_of_every_session_are_the_cash_of_the_broker(is_faulted: bool) -> None:
    done = nights(is_faulted=is_faulted)

    assert [ledger.text for ledger in done.ledgers if not ledger.is_equal] == []
    assert validate("trades", done.trades).height > 30


def test_every_trade_gets_a_cause_a_score_and_a_sentence() -> None:
    rows = validate("attribution", attributed())

    assert rows.height == nights().trades.height
    assert rows["cause"].n_unique() >= 4
    assert rows["luck"].null_count() == 0
    won = nights().trades["net_usd"] > 0
    assert rows.filter(won)["luck"].mean() > rows.filter(~won)["luck"].mean()


def test_a_night_takes_a_fraction_of_its_two_seconds() -> None:
    seconds = nights().seconds

    assert sum(seconds) / len(seconds) < 0.2
