"""Trades: one row per round trip, rebuilt from executions alone.

What was meant stands beside it for comparison: the plan, the scores and gates at entry, the stop's
way. It never supplies a price, a quantity or an instant of the result.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import polars as pl

from engine.journal import Event
from engine.learning.conduct import Conduct, conducts
from engine.learning.decomposition import decompose, exit_reference
from engine.learning.executions import MONEY
from engine.learning.fills import Fill, RoundTrip, fills_of, match, positions_told
from engine.learning.tape import Tape, excursions, tape_of
from engine.rules import Rules
from engine.trade import TradePlan

_INSTANT: Final = pl.Datetime("us", "UTC")

TRADE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "trade_number": pl.Int32(),
    "decision_id": pl.String(),
    "template": pl.String(),
    "side": pl.Int8(),
    "quantity": pl.Int32(),
    "regime": pl.String(),
    "phase": pl.Int8(),
    "decided_at": _INSTANT,
    "opened_at": _INSTANT,
    "closed_at": _INSTANT,
    "bars_held": pl.Int32(),
    "exit_kind": pl.String(),
    "entry_ticks": pl.Float64(),
    "exit_ticks": pl.Float64(),
    "gross_ticks": pl.Int32(),
    "net_ticks": pl.Float64(),
    "net_r": pl.Float64(),
    "gross_usd": MONEY,
    "fees_usd": MONEY,
    "net_usd": MONEY,
    "are_fees_reported": pl.Boolean(),
    "signal_usd": MONEY,
    "timing_usd": MONEY,
    "slippage_usd": MONEY,
    "decision_price_ticks": pl.Int32(),
    "arrival_mid_ticks": pl.Float64(),
    "entry_slippage_ticks": pl.Float64(),
    "arrival_slippage_ticks": pl.Float64(),
    "exit_slippage_ticks": pl.Float64(),
    "expected_slippage_ticks": pl.Float64(),
    "stop_price_ticks": pl.Int32(),
    "target_price_ticks": pl.Int32(),
    "stop_ticks": pl.Int32(),
    "target_ticks": pl.Int32(),
    "stop_moves": pl.Int32(),
    "mae_ticks": pl.Float64(),
    "mfe_ticks": pl.Float64(),
    "dvs": pl.Float64(),
    "eqs": pl.Float64(),
    "belief": pl.Float64(),
    "instability": pl.Float64(),
    "p_win": pl.Float64(),
    "edge": pl.Float64(),
    "uncertainty": pl.Float64(),
    "cost": pl.Float64(),
    "euc": pl.Float64(),
    "theta": pl.Float64(),
    "rejects": pl.Int32(),
    "partials": pl.Int32(),
    "fill_seconds": pl.Float64(),
    "unprotected_seconds": pl.Float64(),
    "order_refs": pl.String(),
    "fills_json": pl.String(),
    "scores_json": pl.String(),
    "gates_json": pl.String(),
}
"""Columns of `trades`. What comes from a plan is null for a position that nobody decided on."""

_OF_THE_PLAN: Final = (
    *("template", "regime", "phase", "decided_at", "decision_price_ticks"),
    *("stop_price_ticks", "target_price_ticks", "dvs", "belief", "instability"),
    *("p_win", "edge", "euc", "theta"),
)


def round_trips(
    executions: pl.DataFrame,
    decisions: pl.DataFrame,
    events: Sequence[Event],
    market: pl.DataFrame,
    rules: Rules,
) -> pl.DataFrame:
    """`TRADE_COLUMNS` of one session, in the order in which the trades were closed.

    `executions` and `decisions` are the session's stored rows, `events` its journal, `market` its
    bars. A position that is still open, or one that no execution opened, is no row; the ledger then
    differs from the broker's, which `ledger_difference` says. A decision whose plan the session's
    journal does not hold is not known: the trade is one that nobody decided on.
    """
    matched = match(fills_of(executions, rules), positions_told(events, rules))
    known = conducts(events)
    tape = tape_of(market)
    entered = decisions.filter(pl.col("decision_id").is_not_null())
    decided = {row["decision_id"]: row for row in entered.iter_rows(named=True)}
    dates = dict(executions.select("execution_id", "session_date").iter_rows())
    trips = sorted(matched.trips, key=lambda trip: (trip.fills[-1].at, trip.fills[-1].seq))
    carried_out = [(trip, known.get(trip.decision_id or "")) for trip in trips]
    rows = [
        {
            "symbol": rules.instrument.symbol,
            "session_date": dates[trip.fills[-1].execution_id],
            "trade_number": number,
            **_row(trip, conduct, tape, rules),
            **_scores(None if conduct is None else decided.get(trip.decision_id)),
        }
        for number, (trip, conduct) in enumerate(carried_out, start=1)
    ]
    return pl.DataFrame(rows, schema=TRADE_COLUMNS, orient="row")


def _row(trip: RoundTrip, conduct: Conduct | None, tape: Tape, rules: Rules) -> dict[str, Any]:
    return {
        "decision_id": None if conduct is None else trip.decision_id,
        "side": trip.side,
        "quantity": trip.quantity,
        "order_refs": ",".join(dict.fromkeys(fill.order_ref for fill in trip.fills)),
        "fills_json": _fills_json(trip),
        "partials": _partials(trip),
        **_planned(conduct),
        **_result(trip, None if conduct is None else conduct.plan, rules),
        **_market(trip, conduct, tape, rules),
        **_handling(trip, conduct, tape),
    }


def _result(trip: RoundTrip, plan: TradePlan | None, rules: Rules) -> dict[str, Any]:
    """What the fills came to; the estimated fee stands where none is reported yet."""
    instrument = rules.instrument
    gross_ticks, fees_usd = trip.gross_ticks, trip.fees_usd
    gross_usd = instrument.to_usd(gross_ticks)
    net_ticks = float((gross_usd - fees_usd) / instrument.tick_value_usd)
    risked = None if plan is None else plan.stop_distance_ticks * trip.quantity
    return {
        "gross_ticks": gross_ticks,
        "gross_usd": gross_usd,
        "fees_usd": fees_usd,
        "net_usd": gross_usd - fees_usd,
        "are_fees_reported": all(fill.is_fee_reported for fill in trip.fills),
        "net_ticks": net_ticks,
        "net_r": None if risked is None else net_ticks / risked,
    }


def _market(trip: RoundTrip, conduct: Conduct | None, tape: Tape, rules: Rules) -> dict[str, Any]:
    """What the trade met on the way, and where its money came from."""
    entry_ticks, exit_ticks = average_ticks(trip.opening), average_ticks(trip.closing)
    opened_at, closed = trip.fills[0].at, trip.fills[-1]
    kind = None if conduct is None else conduct.exit_kind(closed.leg)
    mae_ticks, mfe_ticks = excursions(tape, trip, entry_ticks, exit_ticks)
    first = tape.first_held(opened_at)
    last = tape.last_held(closed.at, is_bracket=closed.leg in ("stop", "target"))
    return {
        "opened_at": opened_at,
        "closed_at": closed.at,
        "entry_ticks": entry_ticks,
        "exit_ticks": exit_ticks,
        "exit_kind": None if kind is None else kind.value,
        "bars_held": max(last - first + 1, 1),
        "mae_ticks": mae_ticks,
        "mfe_ticks": mfe_ticks,
        **decompose(trip, conduct, tape).in_usd(rules.instrument),
    }


def _planned(conduct: Conduct | None) -> dict[str, Any]:
    if conduct is None:
        return {}
    plan = conduct.plan
    return {
        **{name: getattr(plan, name) for name in _OF_THE_PLAN},
        "expected_slippage_ticks": plan.slippage_ticks,
        "stop_ticks": plan.stop_distance_ticks,
        "target_ticks": plan.target_distance_ticks,
    }


def _handling(trip: RoundTrip, conduct: Conduct | None, tape: Tape) -> dict[str, Any]:
    """How the decision was carried out; slippage is per contract, positive is worse."""
    if conduct is None:
        return {"rejects": 0, "stop_moves": 0}
    plan, side, lots = conduct.plan, trip.side, trip.quantity
    sent_at = conduct.sent_at or plan.decided_at
    arrival = tape.closed_by(sent_at)
    is_quoted = arrival >= 0 and bool(tape.has_quotes[arrival])
    mid_ticks = int(tape.mid[arrival]) / 2 if is_quoted else None
    entry_ticks = average_ticks(trip.opening)
    given_away = sum(
        fill.quantity * (exit_reference(fill, conduct, tape).decided - 2 * fill.price_ticks)
        for fill in trip.closing
    )
    opened_at, closed_at = trip.fills[0].at, trip.fills[-1].at
    return {
        "arrival_mid_ticks": mid_ticks,
        "entry_slippage_ticks": side * (entry_ticks - plan.decision_price_ticks),
        "arrival_slippage_ticks": None if mid_ticks is None else side * (entry_ticks - mid_ticks),
        "exit_slippage_ticks": side * given_away / (2 * lots),
        "stop_moves": len(conduct.stops) - 1,
        "rejects": conduct.rejects,
        "fill_seconds": (opened_at - sent_at).total_seconds(),
        "unprotected_seconds": conduct.unprotected_seconds(opened_at, closed_at),
    }


def _scores(decision: Mapping[str, Any] | None) -> dict[str, Any]:
    """Scores and gates as they were journalled with the decision to enter."""
    if decision is None:
        return {}
    scores = orjson.loads(decision["scores_json"])
    chosen = next(score for score in scores if score["template"] == decision["template"])
    eqs = orjson.loads(decision["gates_json"])["own"]["eqs"][0]
    return {
        "eqs": eqs,
        "uncertainty": chosen["uncertainty"],
        "cost": chosen["cost"],
        "scores_json": decision["scores_json"],
        "gates_json": decision["gates_json"],
    }


def average_ticks(fills: Sequence[Fill]) -> float:
    """Average price of some fills in ticks."""
    paid = sum(fill.quantity * fill.price_ticks for fill in fills)
    return paid / sum(fill.quantity for fill in fills)


def _partials(trip: RoundTrip) -> int:
    """Orders of ours that were filled in more than one piece."""
    by_order: dict[str, set[str]] = {}
    for fill in trip.fills:
        by_order.setdefault(fill.order_ref, set()).add(fill.execution_id)
    return sum(len(executions) > 1 for executions in by_order.values())


def _fills_json(trip: RoundTrip) -> str:
    """What the row was made of: execution, leg, side, lots and price of each fill."""
    names = ("execution_id", "leg", "side", "quantity", "price_ticks", "at")
    return orjson.dumps(
        [{name: getattr(fill, name) for name in names} for fill in trip.fills]
    ).decode()
