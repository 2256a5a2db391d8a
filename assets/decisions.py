"""Stage `decisions`: exactly one record per closed bar, read back from the journal."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.partitions import SESSIONS
from assets.ports import MarketStore, Rehearsals
from assets.tables import dates_of, schema_check, stage_asset
from assets.trading_session import trading_session
from contracts.calendar import session_on
from contracts.schemas import columns_of
from engine.calendar import Session
from engine.decision import Action
from engine.journal import Broken, Event, Kind
from engine.market import market_frame, market_rows
from engine.narrative import journal_text
from engine.rules import Rules

OF_THE_CHOSEN: Final = (
    *("template", "side", "stop_ticks", "target_ticks"),
    *("belief", "p_win", "euc", "theta"),
)
"""What the table takes from the score of the setup that was entered."""


@stage_asset("decisions", deps=[trading_session], pool="warehouse_write", one_by_one=True)
def decisions(
    context: dg.AssetExecutionContext,
    rehearsals: dg.ResourceParam[Rehearsals],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was decided on each bar, why, and what would have changed it."""
    session_date = dates_of(context.partition_keys, rules)[0]
    events = rehearsals.events(session_date, Kind.DECISION)
    rows = decision_rows(events, session_on(session_date, rules.session), rules)
    counts = rows.group_by("action").len().sort("action")
    return dg.MaterializeResult(
        value=rows, metadata={"actions": dg.MetadataValue.json(dict(counts.iter_rows()))}
    )


def decision_rows(events: Sequence[Event], session: Session, rules: Rules) -> pl.DataFrame:
    """Journalled decisions as rows of the table."""
    rows = [_decision(event, session, rules) for event in events]
    return pl.DataFrame(rows, schema=columns_of("decisions"), orient="row")


def _decision(event: Event, session: Session, rules: Rules) -> dict[str, Any]:
    payload = json.loads(event.payload)
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


decisions_schema = schema_check("decisions")


@dg.asset_check(asset=decisions, blocking=True, partitions_def=SESSIONS)
def journal_chain(
    context: dg.AssetCheckExecutionContext,
    rehearsals: dg.ResourceParam[Rehearsals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Every event of the journal is sealed by the hash of all before it, up to the head kept."""
    verdict = rehearsals.verify(dates_of(context.op_execution_context.partition_keys, rules)[0])
    if isinstance(verdict, Broken):
        return dg.AssetCheckResult(
            passed=False, description=f"broken at event {verdict.seq}: {verdict.text}"
        )
    return dg.AssetCheckResult(
        passed=True,
        description=f"{verdict.events} events, unbroken",
        metadata={"events": verdict.events, "digest": verdict.head.hash},
    )


@dg.asset_check(asset=decisions, blocking=True, partitions_def=SESSIONS)
def live_equals_batch(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    rehearsals: dg.ResourceParam[Rehearsals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the desk saw of each bar is, to the letter, what the stored bars say; once each."""
    session_date = dates_of(context.op_execution_context.partition_keys, rules)[0]
    symbol = rules.instrument.symbol
    bars, contexts = (
        market.read(name, symbol, session_date, session_date) for name in ("bars", "context")
    )
    batch = {
        row.closes_at: row
        for row in market_rows(journal_text(market_frame(contexts, bars, rules), rules))
    }
    seen = _by_instant(rehearsals.events(session_date, Kind.BAR))
    decided = _by_instant(rehearsals.events(session_date, Kind.DECISION))
    different = [
        f"{at:%H:%M} UTC"
        for at, row in batch.items()
        if seen.get(at) != [row.bar_json]
        or [text.endswith(f'"market":{row.evidence_json}}}') for text in decided.get(at, [])]
        != [True]
    ]
    once = seen.keys() == decided.keys() == batch.keys()
    return dg.AssetCheckResult(
        passed=once and not different,
        description=f"{len(decided)} bars decided of {len(batch)} stored, "
        f"{len(different)} differ from the batch",
        metadata={"bars": len(batch), "different": different[:20]},
    )


def _by_instant(events: Sequence[Event]) -> dict[datetime, list[str]]:
    payloads: dict[datetime, list[str]] = {}
    for event in events:
        payloads.setdefault(datetime.fromisoformat(event.at), []).append(event.payload)
    return payloads
