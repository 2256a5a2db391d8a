"""The deployment checklist: every probe once, in order, each with its evidence and its time."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Final

from contracts import contracts_hash
from contracts.calendar import next_session
from engine.calendar import Session
from engine.errors import CredenceError
from pipelines.checklist.broker import Bounds, BrokerProbes
from pipelines.checklist.drill import kill_drill
from pipelines.checklist.line import VERDICT_OF, Failed, Found, Line, Passed, Skipped, Verdict
from pipelines.checklist.machine import (
    alerts_arrive,
    calendar_knows,
    disk_keeps,
    journal_holds,
    limits_hold,
)
from pipelines.session.code_version import code_version
from pipelines.session.folding import folded
from pipelines.session.lock import holder_text, is_held
from pipelines.session.process import write_json
from pipelines.wiring import Wiring

QUESTIONS: Final = {
    "limits": "Are the contracts whole, and no limit looser than it may be?",
    "calendar": "Is today a session, and when does it end?",
    "disk": "Is there room, and is a write durable soon?",
    "journal": "Does the journal follow to its end?",
    "alerts": "Does a person hear of this desk?",
    "connection": "Does the broker answer, with an account that fits the mode?",
    "clock": "Do our clock and the broker's agree?",
    "data": "Does market data flow, and not delayed?",
    "account": "Is the money known, and enough?",
    "reconciliation": "Do the journal and the broker agree on what is held and working?",
    "bracket": "Can a bracket be placed far away, seen, cancelled and seen gone?",
    "kill drill": "Does a kill leave nothing at the broker, and stay?",
}
"""Every probe, in the order it is made, and what it asks."""

AT_THE_BROKER: Final = tuple(QUESTIONS)[tuple(QUESTIONS).index("connection") :]

Probe = Callable[[], Found]


def checklist(wiring: Wiring, today: date, bounds: Bounds | None = None) -> Iterator[Line]:
    """Every probe of today, each as soon as it is made; without whole contracts only that one."""
    settings, files = wiring.settings, wiring.session_files
    limits = _asked("limits", lambda: limits_hold(settings.symbol, settings.contracts))
    yield limits
    if limits.verdict is not Verdict.PASSED:
        yield from _skipped(tuple(QUESTIONS)[1:], "the contracts are refused: mend them first")
        return
    machine = [_asked(*probe) for probe in _machine_probes(wiring, today).items()]
    yield from machine
    if is_held(files):
        why = f"{holder_text(files)} acts for this desk; ask when no session runs"
        yield from _skipped(AT_THE_BROKER, why)
    elif any(line.probe == "journal" and line.verdict is Verdict.FAILED for line in machine):
        yield from _skipped(AT_THE_BROKER, "without its journal the desk knows nothing of itself")
    else:
        yield from _broker_lines(wiring, today, bounds or Bounds())


def _machine_probes(wiring: Wiring, today: date) -> dict[str, Probe]:
    home = wiring.home
    return {
        "calendar": lambda: calendar_knows(today, wiring.rules),
        "disk": lambda: disk_keeps(home.root),
        "journal": lambda: journal_holds(wiring.journal, home.aside),
        "alerts": lambda: alerts_arrive(wiring.targets, str(home.root.resolve())),
    }


def _broker_lines(wiring: Wiring, today: date, bounds: Bounds) -> Iterator[Line]:
    """The probes of the broker; without a connection the others are not made."""
    settings, rules = wiring.settings, wiring.rules
    probes = BrokerProbes(
        broker=wiring.live_broker(),
        rules=rules,
        mode=wiring.mode,
        state=folded(wiring.session_files, wiring.mode, settings.symbol, rules),
        has_own_time=settings.broker == "gateway" or settings.ibkr_clock == "told",
        bounds=bounds,
    )
    session = _session(today, wiring)
    aside = wiring.home.aside
    made: dict[str, Probe] = {
        "connection": probes.connection,
        "clock": probes.clock,
        "data": probes.data,
        "account": probes.account,
        "reconciliation": probes.agreement,
        "bracket": probes.bracket,
        "kill drill": lambda: kill_drill(probes, wiring.live_broker, session, rules, aside),
    }
    is_connected = True
    try:
        for name, probe in made.items():
            if not is_connected:
                yield from _skipped((name,), "there is no connection to ask it on")
                continue
            line = _asked(name, probe)
            is_connected = name != "connection" or line.verdict is Verdict.PASSED
            yield line
    finally:
        probes.broker.close()


def _session(today: date, wiring: Wiring) -> Session:
    """The session a drill is booked under: today's, or the next."""
    return next_session(date.fromordinal(today.toordinal() - 1), wiring.rules.session)


def _skipped(names: Sequence[str], why: str) -> Iterator[Line]:
    return (_line(name, Skipped(why), 0.0) for name in names)


def _asked(name: str, probe: Probe) -> Line:
    """One probe made; an error that it met is what it found."""
    began = time.monotonic()
    try:
        found = probe()
    except (CredenceError, OSError, sqlite3.Error) as error:
        found = Failed(str(error))
    return _line(name, found, time.monotonic() - began)


def _line(name: str, found: Passed | Failed | Skipped, seconds: float) -> Line:
    return Line(
        probe=name,
        question=QUESTIONS[name],
        verdict=VERDICT_OF[type(found)],
        evidence=found.evidence,
        seconds=round(seconds, 2),
    )


def keep_record(wiring: Wiring, today: date, lines: list[Line]) -> Path:
    """Leave the day's checklist where a LIVE session looks for it; returns the file.

    Without all its lines it has not passed: so it begins, lest an earlier one count that passed.
    """
    path = wiring.session_files.checklist(today)
    write_json(
        path,
        {
            "session_date": today.isoformat(),
            "symbol": wiring.settings.symbol,
            "code": code_version(),
            "contracts_hash": contracts_hash(wiring.settings.contracts),
            "passed": has_passed(lines),
            "broker": wiring.settings.broker,
            "mode": wiring.mode.value,
            "at": wiring.clock().isoformat(),
            "lines": [asdict(line) for line in lines],
        },
    )
    return path


def has_passed(lines: list[Line]) -> bool:
    """Whether every probe was made and passed."""
    asked = {line.probe for line in lines if line.verdict is Verdict.PASSED}
    return asked == set(QUESTIONS)
