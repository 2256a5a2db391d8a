"""The kill drill: an order that works at the broker, and a kill that must leave nothing behind."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from engine.broker import LiveBroker
from engine.calendar import Session
from engine.desk import Mode, OperatorVerb, fact_of
from engine.journal import Kind
from engine.kill import FlatVerified, KillChanged, KillState
from engine.rules import Rules
from pipelines.checklist.broker import BrokerProbes
from pipelines.checklist.line import Failed, Found, Passed, Skipped
from pipelines.journal_store import JournalReader
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, Outcome
from pipelines.session.levers import LeverDesk, pull_lever

BY: Final = "credence checklist"


def kill_drill(
    probes: BrokerProbes,
    fresh_broker: Callable[[], LiveBroker],
    session: Session,
    rules: Rules,
    aside: Path,
) -> Found:
    """See a far bracket working, kill a desk of its own, see the broker flat, and stay down.

    The desk of the drill has a home of its own, so that the real one is not killed; the orders, the
    broker and the code are the real ones. The probes' connection is closed for it.
    """
    barred = probes.barred_from_orders
    if barred is None and not probes.is_agreed:
        barred = "a kill flattens all that is held, on which journal and broker do not agree"
    if barred is not None:
        return Skipped(barred)
    trial = probes.trial("drill")
    lack = probes.lack_of(trial)
    if lack is not None:
        end = "" if probes.cancelled(trial) else f"; {trial.entry_ref} still works: cancel it now"
        return Failed(f"a kill of nothing proves nothing: {lack}{end}")
    probes.broker.close()
    aside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=aside, prefix="drill-") as folder:
        files = SessionFiles(home=Path(folder))
        desk = LeverDesk(
            files=files, rules=rules, mode=Mode.PAPER, session=session, broker=fresh_broker
        )
        began = time.monotonic()
        patience = probes.bounds.drill_seconds
        killed = _pull(desk, OperatorVerb.KILL, "a drill", patience)
        taken = time.monotonic() - began
        if killed.outcome is not Outcome.FLAT:
            return Failed(
                f"killed, and after {taken:.0f} s: {killed.text}. Look for {trial.entry_ref} at "
                "the broker and cancel it by hand"
            )
        silent = _pull(desk, OperatorVerb.RESUME, "", patience)
        problem = _problem(files.journal(Mode.PAPER, rules.instrument.symbol), silent)
    if problem is not None:
        return Failed(problem)
    return Passed(
        f"the broker says flat {taken:.2f} s after the kill, the trial order is gone, and a resume "
        "without a reason was refused"
    )


def _pull(desk: LeverDesk, verb: OperatorVerb, reason: str, patience: float) -> LeverAnswer:
    deadline = time.monotonic() + patience
    return pull_lever(
        desk,
        verb,
        by=BY,
        reason=reason,
        say=lambda _line: None,
        gives_up=lambda: time.monotonic() > deadline,
    )


def _problem(journal: Path, silent: LeverAnswer) -> str | None:
    """What the journal of the drill lacks; null when it tells of a kill that was seen through."""
    facts = [fact_of(event) for event in JournalReader(journal).events(kinds=(Kind.KILL,))]
    after = [fact.after for fact in facts if isinstance(fact, KillChanged)]
    if set(after) != {KillState.KILLED} or not isinstance(facts[-1], FlatVerified):
        told = ", ".join([*after, type(facts[-1]).__name__]) if facts else "nothing"
        return f"the journal of the drill tells {told}; expected a kill that was seen flat"
    if silent.outcome is not Outcome.REFUSED:
        return "a killed desk was resumed without a reason"
    return None
