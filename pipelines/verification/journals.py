"""Journals: an unbroken chain, a ledger that is the broker's cash, bars that are the stored."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from assets.as_seen import unseen_at_the_end
from assets.prior_sessions import contexts_from
from contracts.calendar import session_on, sessions_between
from engine.desk import Recording, SessionOpened, fact_of
from engine.errors import JournalError
from engine.journal import Broken, Event, Kind
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import OF_BOOKS, ledger_difference
from engine.market import market_frame
from engine.narrative import journal_text
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.session.folding import fold_whole, kept_beside, read_kept
from pipelines.session_journals import TRADED, is_over
from pipelines.verification.finding import Finding, chunks, unjudged
from pipelines.wiring import Wiring

_PER_BAR: Final = (Kind.BAR, Kind.DECISION)


def journal_findings(
    path: Path, wiring: Wiring, session_date: date | None, broken: AbstractSet[str]
) -> Iterator[Finding]:
    """Chain, cash and bars of one journal; nothing if it does not hold the session asked for."""
    name = str(path.relative_to(wiring.home.root))
    reader = JournalReader(path)
    try:
        dates = reader.sessions()
        chosen = [day for day in dates if session_date in (None, day)]
        if not chosen and dates:
            return
        yield _chain(name, reader)
        if wiring.home.learning in path.parents:
            return
        yield _cash(name, path, reader, chosen, wiring)
        yield from kept_state_findings(name, path, wiring.rules)
        yield unjudged("live = batch", name, {"bars"} & broken) or _seen(
            name, reader, chosen, wiring
        )
    except (sqlite3.DatabaseError, JournalError, ValueError) as error:
        yield Finding(check="readable", subject=name, passed=False, evidence=str(error))


def _chain(name: str, reader: JournalReader) -> Finding:
    verdict = reader.verify()
    if isinstance(verdict, Broken):
        evidence = f"broken at event {verdict.seq}: {verdict.text}"
        return Finding(check="chain", subject=name, passed=False, evidence=evidence)
    evidence = f"{verdict.events:,} events unbroken, head {verdict.head.hash[:12]}"
    return Finding(check="chain", subject=name, passed=True, evidence=evidence)


def kept_state_findings(name: str, path: Path, rules: Rules) -> Iterator[Finding]:
    """What the last start kept is what the journal folds to there; nothing where none counts."""
    kept = read_kept(path, rules)
    if kept is None:
        return
    is_so = fold_whole(path, rules, through=kept.head.seq) == kept.state
    what = "is" if is_so else f"is not; delete {kept_beside(path).name}"
    evidence = f"the fold of the first {kept.head.seq:,} events {what}"
    yield Finding(check="kept state = fold", subject=name, passed=is_so, evidence=evidence)


def _cash(
    name: str, path: Path, reader: JournalReader, dates: Sequence[date], wiring: Wiring
) -> Finding:
    """What fills earned less their fees against what the broker's account moved by.

    Judged as the night judges it, once a session is over. What a person accepted is of the journal
    that tells of the session, and holds; the evidence names it.
    """
    judged, fills, earned_usd, told = 0, 0, Decimal(0), []
    before: list[Event] = []
    for day in reader.sessions():
        events = list(reader.events(session_date=day, kinds=OF_BOOKS))
        session = session_on(day, wiring.rules.session)
        if day in dates and is_over(events, session, wiring.clock()):
            executions = execution_rows(events, before)
            found = ledger_difference(
                events,
                wiring.rules,
                executions=executions,
                before=before,
                accepted=_accepted(path, day, wiring),
            )
            if not found.is_settled:
                evidence = f"{day}: {found.text}"
                return Finding(check="ledger = cash", subject=name, passed=False, evidence=evidence)
            judged, fills = judged + 1, fills + executions.height
            earned_usd += found.trades_usd
            if found.accepted is not None:
                told.append(f"; {day}: {found.accepted.text}")
        before += [event for event in events if event.kind == Kind.EXECUTION]
    return Finding(
        check="ledger = cash",
        subject=name,
        passed=True if judged else None,
        evidence=f"{judged} of {len(dates)} sessions, {fills} fills, {earned_usd:+.2f} USD "
        f"{'earned' if told else 'on both'}{''.join(told)}"
        if judged
        else "no session is over",
    )


def _accepted(path: Path, day: date, wiring: Wiring) -> Sequence[DifferenceAccepted]:
    journals = wiring.session_journals
    is_told_by = path == journals.path(day) or path in map(journals.traded, TRADED)
    return journals.accepted(day) if is_told_by else ()


def _seen(name: str, reader: JournalReader, dates: Sequence[date], wiring: Wiring) -> Finding:
    """What the desk saw of each bar and held it against, to the letter, is what is stored."""
    told, bars = [day for day in dates if _is_full(reader, day, wiring.rules)], 0
    corrected: set[date] = set()
    for days in chunks(told):
        problem, seen = _compared(reader, days, wiring)
        if problem:
            corrected |= _corrected(wiring, days)
            kept = [day for day in days if day not in corrected]
            problem, seen = _compared(reader, kept, wiring) if kept != days else (problem, seen)
        if problem:
            return Finding(check="live = batch", subject=name, passed=False, evidence=problem)
        bars += seen
    if not told:
        why = "no session with every bar recorded under today's contracts"
        return Finding(check="live = batch", subject=name, passed=None, evidence=why)
    evidence = f"{bars:,} bars of {len(told) - len(corrected)} sessions as stored, to the letter"
    if corrected:
        evidence += f"; {len(corrected)} not judged, their bars were corrected since"
    judged = len(corrected) < len(told) or None
    return Finding(check="live = batch", subject=name, passed=judged, evidence=evidence)


def _compared(
    reader: JournalReader, days: Sequence[date], wiring: Wiring
) -> tuple[str | None, int]:
    """The first difference of some sessions, null without any, and how many bars were compared."""
    recomputed = _recomputed_text(days, wiring) if days else {}
    seen = list(_seen_events(reader, days))
    known = {datetime.fromisoformat(event.at) for event in seen}
    for day in days:  # Where a run ended before its session, nobody saw what came after.
        told = reader.events(session_date=day, kinds=(Kind.SESSION,))
        session = session_on(day, wiring.rules.session)
        for at in unseen_at_the_end(session, told, known, recomputed):
            del recomputed[at]
    return _first_difference(recomputed, seen), len(recomputed)


def _corrected(wiring: Wiring, days: Sequence[date]) -> set[date]:
    """Those whose bars an ingest changed after their first night; the desk cannot have seen it."""
    from pipelines.dagster_home import dagster_home_of, has_instance

    if not has_instance(wiring.home.root):
        return set()
    import dagster as dg

    from assets.made_from import corrected_sessions

    folder = dagster_home_of(wiring.home.root)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return corrected_sessions(instance, dg.AssetKey("learning_state"), set(days))


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
    """Whether every bar of a session was recorded, and each under today's contracts.

    A run that was started again may have gone on under others.
    """
    told = list(reader.events(session_date=day, kinds=(Kind.SESSION,)))
    if not told or any(event.contracts_hash != rules.contracts_hash for event in told):
        return False
    fact = fact_of(told[0])
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
