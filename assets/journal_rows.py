"""What the desk tables store of a journal; without Dagster, so that a replay may ask."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
import polars as pl

from contracts.schemas import columns_of
from engine.calendar import Session
from engine.decision import Action
from engine.journal import Event
from engine.rules import Rules

OF_THE_CHOSEN: Final = (
    *("template", "side", "stop_ticks", "target_ticks"),
    *("belief", "p_win", "euc", "theta"),
)
"""What the table takes from the score of the setup that was entered."""


def decision_rows(events: Sequence[Event], session: Session, rules: Rules) -> pl.DataFrame:
    """Journalled decisions as rows of the table."""
    rows = [_decision(event, session, rules) for event in events]
    return pl.DataFrame(rows, schema=columns_of("decisions"), orient="row")


def _decision(event: Event, session: Session, rules: Rules) -> dict[str, Any]:
    payload = orjson.loads(event.payload)
    closes_at = datetime.fromisoformat(event.at)
    is_entry = payload["action"] == Action.ENTER
    scores = {score["template"]: score for score in payload["scores"]}
    chosen: dict[str, Any] = scores[payload["chosen"]] if is_entry else {}
    gates = {"own": payload["own"], "market": payload["market"]}
    return {
        "symbol": rules.instrument.symbol,
        "session_date": session.session_date,
        "closes_at": closes_at,
        "minute": session.minute_at(closes_at) - 1,
        "seq": event.seq,
        **{name: payload[name] for name in ("action", "reason", "layer", "cause")},
        "decision_id": event.decision_id if is_entry else None,
        **{name: chosen.get(name) for name in OF_THE_CHOSEN},
        "sentence": payload["sentence"],
        "counterfactual": payload["counterfactual"],
        "scores_json": json.dumps(payload["scores"], separators=(",", ":")),
        "gates_json": json.dumps(gates, separators=(",", ":")),
    }
