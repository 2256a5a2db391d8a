"""What `credence verify` asks of a data home: is every stored thing what it must be?

Nothing is repaired and nothing is skipped in silence: what cannot be judged says why.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Final

import polars as pl

from assets.prior_sessions import contexts_from
from assets.rows import ROWS_OF, Rows
from contracts.calendar import sessions_between
from contracts.schemas import DESK_TABLES, MARKET_TABLES, validate
from engine.broker import AccountReported, CommissionReported, ExecutionReported
from engine.desk import Recording, SessionClosed, SessionOpened, fact_of
from engine.errors import JournalError, SchemaError
from engine.journal import Broken, Event, Kind
from engine.ledger import Ledger
from engine.market import market_frame
from engine.narrative import journal_text
from engine.rules import Rules
from pipelines.journal_store import JournalReader, journal_paths
from pipelines.storage import DuckWarehouse
from pipelines.wiring import Wiring

CHUNK_SESSIONS: Final = 64
"""Sessions recomputed at once; bounds the memory of a verification over years."""

PATIENCE_SECONDS: Final = 3.0
"""How long a person is kept waiting for a warehouse that a run is writing to."""

_PER_BAR: Final = (Kind.BAR, Kind.DECISION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer with its evidence; `passed` is null where there was nothing to judge."""

    check: str
    subject: str
    passed: bool | None
    evidence: str


def verify_home(wiring: Wiring, session_date: date | None = None) -> Iterator[Finding]:
    """Every check on everything stored, or on what belongs to one session."""
    for path in journal_paths(wiring.journals):
        yield from _journal_findings(path, wiring, session_date)
    for table in MARKET_TABLES:
        yield from _schema_finding(table, wiring, session_date)
    yield from _parity_findings(wiring, session_date)
    if wiring.home.warehouse.exists():
        for table in DESK_TABLES:
            yield _desk_table_finding(table, wiring, session_date)


def _journal_findings(path: Path, wiring: Wiring, session_date: date | None) -> Iterator[Finding]:
    name = str(path.relative_to(wiring.home.root))
    reader = JournalReader(path)
    try:
        dates = reader.sessions()
        chosen = [day for day in dates if session_date in (None, day)]
        if not chosen and dates:
            return
        yield _chain(name, reader)
        yield _cash(name, reader, chosen, wiring.rules)
        yield _seen(name, reader, chosen, wiring)
    except (sqlite3.DatabaseError, JournalError, ValueError) as error:
        yield Finding(check="readable", subject=name, passed=False, evidence=str(error))


def _chain(name: str, reader: JournalReader) -> Finding:
    verdict = reader.verify()
    if isinstance(verdict, Broken):
        evidence = f"broken at event {verdict.seq}: {verdict.text}"
        return Finding(check="chain", subject=name, passed=False, evidence=evidence)
    evidence = f"{verdict.events:,} events unbroken, head {verdict.head.hash[:12]}"
    return Finding(check="chain", subject=name, passed=True, evidence=evidence)


def _cash(name: str, reader: JournalReader, dates: Sequence[date], rules: Rules) -> Finding:
    """What fills earned less their fees against what the broker's account moved by."""
    fills, judged, earned_usd = 0, 0, Decimal(0)
    for day in dates:
        moved_usd = _moved_usd(reader, day)
        if moved_usd is None:
            continue
        ledger = _ledger(reader, day)
        net = _net_usd(ledger, rules)
        if net != moved_usd:
            evidence = f"{day}: fills say {net:+.2f} USD, the account moved {moved_usd:+.2f} USD"
            return Finding(check="ledger = cash", subject=name, passed=False, evidence=evidence)
        fills, judged, earned_usd = fills + len(ledger.executions), judged + 1, earned_usd + net
    return Finding(
        check="ledger = cash",
        subject=name,
        passed=True if judged else None,
        evidence=f"{judged} of {len(dates)} sessions, {fills} fills, {earned_usd:+.2f} USD on both"
        if judged
        else "no session ended flat with a known equity",
    )


def _ledger(reader: JournalReader, day: date) -> Ledger:
    ledger = Ledger()
    for event in reader.events(session_date=day, kinds=(Kind.EXECUTION, Kind.COMMISSION)):
        fact = fact_of(event)
        if isinstance(fact, ExecutionReported):
            ledger = ledger.with_execution(fact)
        elif isinstance(fact, CommissionReported):
            ledger = ledger.with_commission(fact.execution_id, fact.commission_usd)
    return ledger


def _net_usd(ledger: Ledger, rules: Rules) -> Decimal:
    """Result of fills that end flat, with the commissions that were reported."""
    ticks = -sum(fill.side * fill.quantity * fill.price_ticks for fill in ledger.executions)
    return rules.instrument.to_usd(ticks) - sum(ledger.commissions_usd.values(), Decimal(0))


def _moved_usd(reader: JournalReader, day: date) -> Decimal | None:
    """What the account moved by in a session that began and ended flat; null if unknown."""
    facts = [
        fact_of(event)
        for event in reader.events(session_date=day, kinds=(Kind.ACCOUNT, Kind.SESSION))
    ]
    equities = [
        fact.equity_usd
        for fact in facts
        if isinstance(fact, AccountReported | SessionClosed) and fact.equity_usd is not None
    ]
    closed = facts[-1] if facts else None
    if not isinstance(closed, SessionClosed) or closed.position or closed.equity_usd is None:
        return None
    return equities[-1] - equities[0]


def _seen(name: str, reader: JournalReader, dates: Sequence[date], wiring: Wiring) -> Finding:
    """What the desk saw of each bar and held it against, to the letter, is what is stored."""
    told, bars = [day for day in dates if _is_full(reader, day, wiring.rules)], 0
    for days in _chunks(told):
        recomputed = _recomputed_text(days, wiring)
        problem = _first_difference(recomputed, _seen_events(reader, days))
        if problem:
            return Finding(check="live = batch", subject=name, passed=False, evidence=problem)
        bars += len(recomputed)
    if not told:
        why = "no session with every bar recorded under today's contracts"
        return Finding(check="live = batch", subject=name, passed=None, evidence=why)
    evidence = f"{bars:,} bars of {len(told)} sessions as stored, to the letter"
    return Finding(check="live = batch", subject=name, passed=True, evidence=evidence)


def _first_difference(
    recomputed: Mapping[datetime, tuple[str, str]], events: Iterable[Event]
) -> str | None:
    """The first bar or decision that is not what the stored bars say, or is not there."""
    once: Counter[str] = Counter()
    for event in events:
        at = datetime.fromisoformat(event.at)
        bar, evidence = recomputed.get(at, (None, None))
        is_bar = event.kind == Kind.BAR
        once[event.kind] += 1
        if bar is None or evidence is None:
            return f"event {event.seq}, the {event.kind} of {at:%Y-%m-%d %H:%M} UTC: no such bar"
        if event.payload != bar if is_bar else not event.payload.endswith(evidence):
            return f"event {event.seq}, the {event.kind} of {at:%Y-%m-%d %H:%M} UTC, differs"
    wrong = [f"{once[kind]} {kind}s" for kind in _PER_BAR if once[kind] != len(recomputed)]
    return f"{', '.join(wrong)} for {len(recomputed)} stored bars" if wrong else None


def _is_full(reader: JournalReader, day: date, rules: Rules) -> bool:
    events = reader.events(session_date=day, kinds=(Kind.SESSION,))
    opened = next(events, None)
    if opened is None or opened.contracts_hash != rules.contracts_hash:
        return False
    fact = fact_of(opened)
    return isinstance(fact, SessionOpened) and fact.recording is Recording.FULL


def _seen_events(reader: JournalReader, days: Sequence[date]) -> Iterator[Event]:
    for day in days:
        yield from reader.events(session_date=day, kinds=_PER_BAR)


def _recomputed_text(days: Sequence[date], wiring: Wiring) -> dict[datetime, tuple[str, str]]:
    """`bar_json` and the end of the decision's payload, by the instant of the close."""
    frame = _recomputed_frame(days, wiring)
    if frame is None:
        return {}
    text = journal_text(frame, wiring.rules)
    names = ("closes_at", "bar_json", "evidence_json")
    return {at: (bar, evidence + "}") for at, bar, evidence in text.select(names).iter_rows()}


def _recomputed_frame(days: Sequence[date], wiring: Wiring) -> pl.DataFrame | None:
    """The market frame of these sessions, as far as their bars are stored."""
    symbol, rules = wiring.settings.symbol, wiring.rules
    bars = wiring.market.read("bars", symbol, days[0], days[-1])
    bars = bars.filter(pl.col("session_date").is_in(days))
    if not bars.height:
        return None
    there = set(bars["session_date"].unique())
    span = sessions_between(days[0], days[-1], rules.session)
    sessions = [session for session in span if session.session_date in there]
    return market_frame(contexts_from(wiring.market, sessions, rules), bars, rules)


def _schema_finding(table: str, wiring: Wiring, session_date: date | None) -> Iterator[Finding]:
    dates = _stored_dates(table, wiring, session_date)
    if not dates:
        return
    rows = 0
    try:
        for days in _chunks(dates):
            frame = wiring.market.read(table, wiring.settings.symbol, days[0], days[-1])
            rows += validate(table, frame).height
    except SchemaError as error:
        yield Finding(check="schema", subject=table, passed=False, evidence=str(error))
        return
    evidence = f"{rows:,} rows of {len(dates)} sessions"
    yield Finding(check="schema", subject=table, passed=True, evidence=evidence)


def _parity_findings(wiring: Wiring, session_date: date | None) -> Iterator[Finding]:
    dates = {table: _stored_dates(table, wiring, session_date) for table in MARKET_TABLES}
    if dates["context"]:
        yield _context_finding(dates["context"], wiring)
    for table, rows_of in ROWS_OF.items():
        if dates[table]:
            yield _parity_finding(table, rows_of, dates[table], wiring)


def _context_finding(dates: Sequence[date], wiring: Wiring) -> Finding:
    """Each stored context follows from the bars stored before its session."""
    symbol, rules = wiring.settings.symbol, wiring.rules
    sessions = sessions_between(dates[0], dates[-1], rules.session)
    wanted = [session for session in sessions if session.session_date in set(dates)]
    again = contexts_from(wiring.market, wanted, rules)
    stored = wiring.market.read("context", symbol, dates[0], dates[-1])
    return _compared("context", stored, again)


def _parity_finding(
    table: str,
    rows_of: Rows,
    dates: Sequence[date],
    wiring: Wiring,
) -> Finding:
    symbol, rules = wiring.settings.symbol, wiring.rules
    finding, rows = None, 0
    for days in _chunks(dates):
        stored, bars, contexts = (
            wiring.market.read(name, symbol, days[0], days[-1]).filter(
                pl.col("session_date").is_in(days)
            )
            for name in (table, "bars", "context")
        )
        finding = _compared(table, stored, rows_of(market_frame(contexts, bars, rules), rules))
        if not finding.passed:
            return finding
        rows += stored.height
    evidence = f"{rows:,} rows of {len(dates)} sessions, equal to the bit"
    return Finding(check="batch parity", subject=table, passed=True, evidence=evidence)


def _compared(table: str, stored: pl.DataFrame, again: pl.DataFrame) -> Finding:
    """Stored rows against rows recomputed; names the first column and session that differ."""

    def found(evidence: str, *, passed: bool) -> Finding:
        return Finding(check="batch parity", subject=table, passed=passed, evidence=evidence)

    if stored.height != again.height:
        return found(f"{stored.height:,} rows stored, {again.height:,} recomputed", passed=False)
    for column in again.columns:
        differs = ~stored[column].eq_missing(again[column])
        if differs.any():
            day = stored["session_date"].filter(differs)[0]
            text = f"{column} differs on {differs.sum():,} rows, first of {day}; materialise again"
            return found(text, passed=False)
    return found(f"{stored.height:,} rows, equal to the bit", passed=True)


def _desk_table_finding(table: str, wiring: Wiring, session_date: date | None) -> Finding:
    first, last = session_date or date.min, session_date or date.max
    warehouse = DuckWarehouse(home=wiring.home, patience_seconds=PATIENCE_SECONDS)
    rows = warehouse.read(table, wiring.settings.symbol, first, last)
    try:
        validate(table, rows)
    except SchemaError as error:
        return Finding(check="schema", subject=table, passed=False, evidence=str(error))
    sessions = rows["session_date"].n_unique()
    evidence = f"{rows.height:,} rows of {sessions} sessions"
    return Finding(check="schema", subject=table, passed=True, evidence=evidence)


def _stored_dates(table: str, wiring: Wiring, session_date: date | None) -> list[date]:
    dates = wiring.market.session_dates(table, wiring.settings.symbol)
    return [day for day in dates if session_date in (None, day)]


def _chunks(dates: Sequence[date]) -> Iterator[list[date]]:
    for _, group in groupby(enumerate(dates), key=lambda item: item[0] // CHUNK_SESSIONS):
        yield [day for _, day in group]
