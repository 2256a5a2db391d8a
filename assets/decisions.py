"""Stage `decisions`: exactly one record per closed bar, read back from the journal."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from assets import told
from assets.as_seen import unseen_at_the_end
from assets.journal_rows import decision_rows
from assets.made_from import beside, corrected_sessions
from assets.partitions import sessions_of
from assets.ports import MarketStore, SessionJournals, Warehouse
from assets.tables import schema_check, session_check, sessions_in, stage_asset, stored_rows
from assets.trading_session import trading_session
from engine.calendar import Session
from engine.decision import Action
from engine.journal import Broken, Event, Kind
from engine.market import MarketRow, market_frame, market_rows
from engine.narrative import journal_text
from engine.rules import Rules
from engine.wording import times


def numbers(_rules: Rules) -> Mapping[str, pl.Expr]:
    """What the desk did with a session's bars."""
    return {
        "entered": (pl.col("action") == Action.ENTER).sum(),
        "best_euc": pl.col("euc").max(),
    }


@stage_asset(
    "decisions",
    deps=[trading_session],
    pool="warehouse_write",
    numbers=numbers,
)
def decisions(
    context: dg.AssetExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.MaterializeResult[pl.DataFrame]:
    """What was decided on each bar, why, and what would have changed it."""
    rows = _journalled(session_journals, sessions_of(context.partition_keys, rules.session), rules)
    why = rows.group_by("action", "reason").len("bars")
    why = why.sort("bars", "action", "reason", descending=[True, False, False])
    entered = rows.filter(pl.col("action") == Action.ENTER)
    said = entered.select("closes_at", "template", "side", "sentence")
    return dg.MaterializeResult(
        value=rows, metadata={"entries": told.table(said), "reasons": told.table(why)}
    )


def _journalled(
    session_journals: SessionJournals, sessions: Sequence[Session], rules: Rules
) -> pl.DataFrame:
    """The decisions of sessions as their journals have them."""
    return pl.concat(
        decision_rows(session_journals.events(session.session_date, Kind.DECISION), session, rules)
        for session in sessions
    )


decisions_schema = schema_check("decisions")


@session_check(decisions)
def decisions_equal_journal(
    context: dg.AssetCheckExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """The stored rows are the decisions of the journal, word for word."""
    sessions = sessions_in(context, rules)
    stored = stored_rows(warehouse, "decisions", sessions, rules)
    journalled = _journalled(session_journals, sessions, rules)
    missing = journalled.join(stored, on=stored.columns, how="anti", nulls_equal=True)
    equal = stored.sort("closes_at").equals(journalled.sort("closes_at"))
    first = ""
    if missing.height:
        first = f"; first at minute {missing['minute'][0]} of {missing['session_date'][0]}"
    return dg.AssetCheckResult(
        passed=equal,
        description=f"{stored.height} rows stored, {journalled.height} decisions journalled, "
        f"{missing.height} of them not stored as they were made{first}",
        metadata={"rows": stored.height, "different": missing.height},
    )


@session_check(decisions)
def journal_chain(
    context: dg.AssetCheckExecutionContext,
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """Every event of the journal is sealed by the hash of all before it, up to the head kept."""
    events, digest = 0, ""
    for session in sessions_in(context, rules):
        verdict = session_journals.verify(session.session_date)
        if isinstance(verdict, Broken):
            return dg.AssetCheckResult(
                passed=False,
                description=f"{session.session_date}: broken at event {verdict.seq}: "
                f"{verdict.text}",
            )
        events, digest = verdict.events, verdict.head.hash
    return dg.AssetCheckResult(
        passed=True,
        description=f"{events} events, unbroken",
        metadata={"events": events, "digest": digest},
    )


@session_check(decisions)
def live_equals_batch(
    context: dg.AssetCheckExecutionContext,
    market: dg.ResourceParam[MarketStore],
    session_journals: dg.ResourceParam[SessionJournals],
    rules: dg.ResourceParam[Rules],
) -> dg.AssetCheckResult:
    """What the desk saw of each bar is, to the letter, what the stored bars say; once each.

    Where bars were corrected since the session's first night, which passed, it warns and does not
    block: the desk cannot have seen the correction. So it does where the desk stopped deciding
    before the session was over, and where bars were decided under other contracts than today's: of
    those only the prices, quotes and volume are compared, which no contract changes.
    """
    sessions = sessions_in(context, rules)
    bars, contexts = (stored_rows(market, name, sessions, rules) for name in ("bars", "context"))
    batch = {
        row.closes_at: row
        for row in market_rows(journal_text(market_frame(contexts, bars, rules), rules))
    }
    seen, decided = (
        _by_instant(
            event
            for session in sessions
            for event in session_journals.events(session.session_date, kind)
        )
        for kind in (Kind.BAR, Kind.DECISION)
    )
    unseen: set[datetime] = set()
    for session in sessions:
        told_of_it = session_journals.events(session.session_date, Kind.SESSION)
        unseen |= unseen_at_the_end(session, told_of_it, {*seen, *decided}, batch)
    elsewhere = _under_other_contracts(seen, decided, rules)
    instants = sorted({*batch, *seen, *decided} - unseen)
    different = [
        at
        for at in instants
        if not (_is_one_bar if at in elsewhere else _is_same)(batch.get(at), seen, decided, at)
    ]
    first = f", first {different[0]:%Y-%m-%d %H:%M} UTC" if different else ""
    days = {row.session_date for at in different if (row := batch.get(at)) is not None}
    (check,) = context.selected_asset_check_keys
    night = beside(check.asset_key, "learning_state")
    corrected = corrected_sessions(context.instance, night, days)
    is_corrected = bool(days) and corrected == days and all(at in batch for at in different)
    why = f"; the bars were corrected since, of or before {min(days)}" if is_corrected else ""
    if unseen:
        why += f"; {len(unseen)} more came after the desk had stopped deciding"
    if elsewhere:
        why += f"; {_said_of(elsewhere, sessions, rules)}"
    is_warning = is_corrected or (bool(unseen or elsewhere) and not different)
    return dg.AssetCheckResult(
        passed=bool(batch) and not different and not unseen and not elsewhere,
        severity=dg.AssetCheckSeverity.WARN if is_warning else dg.AssetCheckSeverity.ERROR,
        description=f"{len(decided)} bars decided of {len(batch)} stored, "
        f"{len(different)} differ from the batch{first}{why}",
        metadata={
            "bars": len(batch),
            "different": len(different),
            "unseen": len(unseen),
            "under_other_contracts": len(elsewhere),
        },
    )


ByInstant = Mapping[datetime, Sequence[Event]]


_SCORED: Final = ',"dvs":'
"""Where the text of a bar goes on from what was told to what the contracts make of it."""


def _is_one_bar(row: MarketRow | None, seen: ByInstant, decided: ByInstant, at: datetime) -> bool:
    """Whether a stored bar was seen once and decided once, whatever the contracts made of it."""
    if row is None or len(seen.get(at, ())) != 1 or len(decided.get(at, ())) != 1:
        return False
    return seen[at][0].payload.partition(_SCORED)[0] == row.bar_json.partition(_SCORED)[0]


def _is_same(row: MarketRow | None, seen: ByInstant, decided: ByInstant, at: datetime) -> bool:
    """Whether a stored bar was seen once, decided once, and is quoted unchanged in both."""
    if row is None or not _is_one_bar(row, seen, decided, at):
        return False
    market_part = f'"market":{row.evidence_json}}}'
    return seen[at][0].payload == row.bar_json and decided[at][0].payload.endswith(market_part)


def _under_other_contracts(seen: ByInstant, decided: ByInstant, rules: Rules) -> set[datetime]:
    """The closes of bars that were seen or decided under other contracts than these."""
    return {
        at
        for told in (seen, decided)
        for at, events in told.items()
        if any(event.contracts_hash != rules.contracts_hash for event in events)
    }


def _said_of(elsewhere: AbstractSet[datetime], sessions: Sequence[Session], rules: Rules) -> str:
    """Which sessions were decided under other contracts, and what follows from it."""
    days = [
        str(each.session_date)
        for each in sessions
        if any(each.opens_at < at <= each.closes_at for at in elsewhere)
    ]
    named = f"{', '.join(days[:3])}{', …' if len(days) > 3 else ''}"
    return (
        f"{times(len(elsewhere), 'bar')} of {named} decided under other contracts than today's "
        f"{rules.contracts_hash[:12]}: their prices and volume alone are compared, and the night "
        "judges by today's"
    )


def _by_instant(events: Iterable[Event]) -> dict[datetime, list[Event]]:
    told: dict[datetime, list[Event]] = {}
    for event in events:
        told.setdefault(datetime.fromisoformat(event.at), []).append(event)
    return told
