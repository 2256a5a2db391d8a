"""The night over whole replays: what it rebuilds is what the desk booked and the broker paid."""

import time
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl
import pytest
from night_of_journals import night
from replay_market import RULES, market, settings

from contracts.schemas import validate
from engine.exchange import FaultKind, FaultPlan
from engine.learning.attribution import attribution
from engine.learning.ledger_check import LedgerDifference
from engine.learning.luck import peers
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
    """All sessions: what the desk booked, what the night rebuilt, the ledgers, CPU a night."""

    booked: Sequence[dict[str, Any]]
    trades: pl.DataFrame
    ledgers: list[LedgerDifference]
    seconds: float


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
    bars = frame()
    started = time.process_time()
    done = [night(events, bars) for events in told]
    return Nights(
        [dict(trade) for trade in result.trades if trade["exit_kind"] != "never_filled"],
        pl.concat(each.trades for each in done),
        [each.ledger for each in done],
        (time.process_time() - started) / len(done),
    )


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
    assert nights().seconds < 0.2
