"""The night over a replayed journal, without a store: trades and ledger of one session."""

import json
from typing import NamedTuple

import polars as pl
from replay_market import RULES

from engine.journal import Event, Kind
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import LedgerDifference, ledger_difference
from engine.learning.round_trips import round_trips


class Night(NamedTuple):
    """What one session came to."""

    trades: pl.DataFrame
    ledger: LedgerDifference


def night(events: list[Event], frame: pl.DataFrame) -> Night:
    """The trades of one session's journal; the frame may hold other sessions too."""
    day = pl.lit(events[0].session_date).str.to_date()
    bars = frame.filter(pl.col("session_date") == day)
    executions = execution_rows(events)
    trades = round_trips(executions, entered(events), events, bars, RULES)
    found = ledger_difference(events, RULES, executions=executions, trades=trades)
    return Night(trades, found)


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
