"""Probes of this machine and this home: contracts, calendar, disk, journal, alerts."""

import os
import shutil
import time
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

from contracts import load_rules
from contracts.calendar import closure_reason, is_session, session_on
from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised
from engine.errors import AlertUndelivered
from engine.journal import Broken, Stamp, verify
from engine.rules import Rules
from pipelines.alerts import Alert, Target, Urgency
from pipelines.checklist.line import Failed, Found, Passed, Skipped
from pipelines.journal_store import JournalReader, JournalWriter

FREE_BYTES_MIN: Final = 1_000_000_000
"""A year of full journals of one symbol; the night's tables take as much again."""

SYNC_SECONDS_MAX: Final = 0.1
"""A decision is on disk before its order leaves; a disk slower than this makes entries stale."""

SYNCS: Final = 40
NEW_YORK: Final = ZoneInfo("America/New_York")


def limits_hold(symbol: str, folder: Path | None) -> Found:
    """The contracts in force, which refuse to load at all when a limit is missing or too loose."""
    rules = load_rules(symbol, folder)
    law = rules.constitution
    return Passed(
        f"constitution {rules.contracts_hash[:12]}: {law.contracts_max} contract, "
        f"{law.loss_usd_per_trade_max} USD a trade at the stop, before costs, "
        f"{law.loss_usd_per_day_max} USD a day, "
        f"{law.trades_per_day_max} trades a day"
    )


def calendar_knows(today: date, rules: Rules) -> Found:
    """Today is a session, and when it opens, stops entering and closes."""
    if not is_session(today, rules.session):
        why = closure_reason(today, rules.session)
        return Skipped(f"{today} is no session: {why}; ask again on a session day")
    session = session_on(today, rules.session)
    opens, closes = (
        f"{instant.astimezone(NEW_YORK):%H:%M}" for instant in (session.opens_at, session.closes_at)
    )
    length = "half day" if session.is_half_day else "full day"
    flatten = rules.session.flatten_minutes_before_end
    return Passed(f"{today}, a {length} {opens} to {closes} New York, flat {flatten} min before")


def disk_keeps(
    folder: Path,
    *,
    free_bytes_min: int = FREE_BYTES_MIN,
    sync_seconds_max: float = SYNC_SECONDS_MAX,
) -> Found:
    """Room for the journal, and a disk that says quickly that it has written."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    with TemporaryDirectory(dir=folder, prefix=".checklist-") as aside:
        slow = _sync_seconds(Path(aside) / "sync")
    found = f"{free / 1e9:.1f} GB free, {SYNCS} durable writes, p95 {slow * 1e3:.1f} ms"
    if free < free_bytes_min:
        return Failed(f"{found}; expected {free_bytes_min / 1e9:,.0f} GB: make room in {folder}")
    if slow > sync_seconds_max:
        return Failed(f"{found}; expected {sync_seconds_max * 1e3:.0f} ms: use a local disk")
    return Passed(found)


def _sync_seconds(path: Path) -> float:
    """The 95th percentile of writing one page durably."""
    taken = []
    with path.open("wb") as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return quantiles(taken, n=20)[-1]


def journal_holds(path: Path, aside: Path) -> Found:
    """The desk's journal follows to its end; without one, a trial journal is made and tampered."""
    if not path.is_file():
        return _trial(aside)
    verdict = JournalReader(path).verify()
    if isinstance(verdict, Broken):
        return Failed(
            f"{path}: broken at event {verdict.seq}: {verdict.text}; restore the last good copy"
        )
    return Passed(f"{path.name}: {verdict.events:,} events unbroken to {verdict.head.hash[:12]}")


def _trial(aside: Path) -> Found:
    at = datetime.now(UTC)
    stamp = Stamp(at.date(), "checklist", version("credence"))
    aside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=aside) as folder:
        path = Path(folder) / "trial.sqlite"
        with JournalWriter(path) as writer:
            writer.append([entry_of(AlertRaised(at=at, text=f"trial {n}")) for n in "123"], stamp)
        events = list(JournalReader(path).events())
        whole = verify(events)
        forged = verify([events[0], events[1]._replace(payload="{}"), events[2]])
    if isinstance(whole, Broken) or not isinstance(forged, Broken):
        return Failed(f"a trial journal does not verify as it must: {whole}, forged {forged}")
    return Passed("no journal yet; a trial one verified, and broke at the event that was changed")


def alerts_arrive(targets: tuple[Target, ...], said_by: str) -> Found:
    """Every target takes a test alert now."""
    if not targets:
        return Skipped("no target: set CREDENCE_ALERTS to where you will hear of a kill")
    alert = Alert(
        urgency=Urgency.INFO,
        title="Credence checklist: a test",
        text=f"You hear of this desk here. Sent by the checklist of {said_by}.",
    )
    deaf = [text for target in targets if (text := _refusal(target, alert)) is not None]
    if deaf:
        return Failed("; ".join(deaf))
    return Passed(f"taken by {', '.join(target.label for target in targets)}")


def _refusal(target: Target, alert: Alert) -> str | None:
    try:
        target.send(alert)
    except AlertUndelivered as error:
        return str(error)
    return None
