"""A session in one line and in numbers: what it came to, and why it traded or did not."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from assets.report.look_at import look_at
from assets.report.model import SessionMaterial
from engine.decision import Action
from engine.journal import GENESIS, Verified
from engine.ladder import Reason
from engine.learning.executions import is_of_session
from engine.wording import PHRASES, result, side_name

_NONE: Final = Decimal(0)


def reasons(told: SessionMaterial) -> pl.DataFrame:
    """How many skipped bars each reason was the first no of: reason, layer, bars; most first."""
    skipped = told.rows["decisions"].filter(pl.col("action") == Action.SKIP.value)
    counted = skipped.group_by("reason", "layer").len("bars")
    return counted.sort("bars", "layer", "reason", descending=[True, False, False])


def headline(told: SessionMaterial) -> str:
    """Why it traded, or why not, in a sentence or two."""
    decided = told.rows["decisions"]
    if decided.is_empty():
        return "No bar was decided on."
    counted = reasons(told)
    entries = _entries(decided)
    unended = _unended(told)
    lost = f"{_lost(unended)}. " if unended else ""
    if told.trades.is_empty():
        why = _why_not(counted, decided.height)
        unfilled = entries - unended
        return f"{lost}{_entered(unfilled)}: {why}." if unfilled else f"{lost}No trade: {why}."
    trades = told.trades.sort("trade_number")
    parts = [_trade(row) for row in trades.iter_rows(named=True)]
    rest = f" Otherwise mostly {_phrase(counted['reason'][0])}." if counted.height else ""
    return f"{lost}{_list(parts)}.{rest}"


def _entries(decided: pl.DataFrame) -> int:
    return int((decided["action"] == Action.ENTER.value).sum())


def _unended(told: SessionMaterial) -> int:
    """Decisions that were filled and are in no trade: what became of them no execution tells."""
    of_entry = told.rows["executions"].filter(leg="entry")
    filled = {
        row["decision_id"]
        for row in of_entry.iter_rows(named=True)
        if is_of_session(row["order_ref"], told.day)
    }
    return len(filled - {*told.trades["decision_id"]})


def _lost(unended: int) -> str:
    if unended == 1:
        return "One entry whose end no execution tells: its result is unknown"
    return f"{unended} entries whose end no execution tells: their results are unknown"


def _entered(entries: int) -> str:
    return "One entry that was never filled" if entries == 1 else f"{entries} entries never filled"


def _why_not(counted: pl.DataFrame, bars: int) -> str:
    said = [
        f"{_phrase(reason)} on {count} of {bars} bars"
        for reason, count in counted.select("reason", "bars").head(2).rows()
    ]
    return ", then ".join(said)


def _phrase(reason: str) -> str:
    return PHRASES[Reason(reason)]


def _trade(row: Mapping[str, Any]) -> str:
    """`"K1 long made $12.51 (earned win)"`."""
    name = f"{row['template'] or 'Somebody'} {side_name(row['side'])}"
    cause = f" ({row['cause_name']})" if row["cause_name"] else ""
    return f"{name} {result(row['net_usd'])}{cause}"


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def report_row(told: SessionMaterial) -> dict[str, Any]:
    """The row of `session_report`, without its page."""
    own = {"symbol": told.rules.instrument.symbol, "session_date": told.day}
    return {
        **own,
        "headline": headline(told),
        **_money(told),
        **_decided(told),
        **_data(told),
        **_learned(told),
        **_kept(told),
    }


def _money(told: SessionMaterial) -> dict[str, Any]:
    rows = told.rows["trades"]
    return {
        "trades": rows.height,
        "wins": int((rows["net_usd"] > 0).sum()),
        "net_usd": sum(rows["net_usd"], _NONE),
        "fees_usd": sum(rows["fees_usd"], _NONE),
        "net_r": rows["net_r"].sum() if rows["net_r"].count() else None,
    }


def _decided(told: SessionMaterial) -> dict[str, Any]:
    decided, counted = told.rows["decisions"], reasons(told)
    return {
        "bars": decided.height,
        "entries": _entries(decided),
        "reason_most_often": counted["reason"][0] if counted.height else None,
        "setups_refused": told.refused["setups"].sum(),
        "refused_r": told.refused["net_r"].sum(),
    }


def _data(told: SessionMaterial) -> dict[str, Any]:
    scores = told.frame["dvs"]
    return {
        "missing_bars": told.session.minutes - told.frame.height,
        "rejected_rows": told.rejected.height,
        "dvs_mean": scores.mean(),
        "dvs_min": scores.min(),
        "doubtful_bars": int((scores < told.rules.constitution.dvs_entry_min).sum()),
    }


def _learned(told: SessionMaterial) -> dict[str, Any]:
    own = told.rows["learning_state"].filter(pl.col("trust").is_not_null())
    closed = own.filter(pl.col("is_quarantined")).sort("template")
    sides = told.rows["calibration"].filter(bin=0)
    return {
        "trust_changes": own.filter(pl.col("change") != "").height,
        "quarantined": ",".join(closed["template"]),
        "brier": sides["brier"].mean(),
        "calibration_error": sides["calibration_error"].mean(),
        "maps_earned": int(sides["is_map_earned"].sum()),
    }


def _kept(told: SessionMaterial) -> dict[str, Any]:
    return {
        "desk_state": told.desk_state.value,
        "is_ledger_equal": told.ledger.is_equal,
        "is_chain_whole": isinstance(told.chain, Verified),
        "journal_events": len(told.events),
        "journal_digest": told.events[-1].hash if told.events else GENESIS,
        "to_look_at": len(look_at(told)),
    }
