"""What has to hold between the gateway's books and the journal of a session that was struck."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from engine.broker import ExecutionReported
from engine.calendar import Session
from engine.desk import DeskState, SessionClosed, fact_of
from engine.desk.facts import IntentRecorded
from engine.journal import Broken, Event, Kind, Verified
from engine.ledger import Ledger
from engine.rules import Rules
from pipelines.campaign.law import Law
from pipelines.campaign.processes_truth import BrokerTruth
from pipelines.campaign.world_laws import is_covered
from pipelines.shadow import refs_of
from pipelines.timed_gateway import Readings

Span = tuple[float, float]
"""From one reading of `perf_counter` to another."""


class ProcessSeen(NamedTuple):
    """A session that was struck and is over: both sides' books, and what was seen meanwhile.

    `helpless` are the spans in which the desk's process could not act, be it as it may connected.
    """

    session: Session
    truth: BrokerTruth
    readings: Readings
    helpless: Sequence[Span]
    verified: Verified | Broken
    events: Sequence[Event]
    state: DeskState
    rules: Rules
    ended_at: float


def chain_is_whole(seen: ProcessSeen) -> str | None:
    """The journal's chain of hashes holds to the head that was left."""
    return seen.verified.text if isinstance(seen.verified, Broken) else None


def session_is_closed(seen: ProcessSeen) -> str | None:
    """The last attempt played the session to its end."""
    closed = [e for e in seen.events if isinstance(fact_of(e), SessionClosed)]
    return None if len(closed) == 1 else f"{len(closed)} closings of the session in the journal"


def every_minute_has_one_decision(seen: ProcessSeen) -> str | None:
    """Exactly one decision for each minute the gateway played, whoever was down then."""
    told = Counter(datetime.fromisoformat(e.at) for e in seen.events if e.kind == Kind.DECISION)
    span = seen.session.closes_at - seen.session.opens_at
    minutes = int(span / timedelta(minutes=1))
    wanted = Counter(seen.session.opens_at + timedelta(minutes=n) for n in range(1, minutes + 1))
    if told == wanted:
        return None
    return f"missing {sorted(wanted - told)[:3]}, too many {sorted(told - wanted)[:3]}"


def each_execution_is_booked_once(seen: ProcessSeen) -> str | None:
    """What the gateway executed is in the desk's ledger, each once, and nothing else is.

    The journal may hold an execution as often as the broker told it; the ledger counts it once.
    """
    ledger = Ledger()
    for fact in (fact_of(event) for event in seen.events if event.kind == Kind.EXECUTION):
        if isinstance(fact, ExecutionReported):
            ledger = ledger.with_execution(fact)
    booked = Counter(fill.execution_id for fill in ledger.executions)
    if booked == seen.truth.executions:
        return None
    lost, doubled = seen.truth.executions - booked, booked - seen.truth.executions
    return f"lost {dict(lost)}, doubled or unknown {dict(doubled)}"


def no_order_comes_twice(seen: ProcessSeen) -> str | None:
    """No ref came to the gateway a second time."""
    twice = [ref for ref, count in seen.truth.refs.items() if count > 1]
    return f"twice at the gateway: {twice}" if twice else None


def every_order_was_intended(seen: ProcessSeen) -> str | None:
    """What came to the gateway was durable in the journal first."""
    facts = (fact_of(event) for event in seen.events if event.kind == Kind.INTENT)
    intents = [fact.command for fact in facts if isinstance(fact, IntentRecorded)]
    strange = sorted(set(seen.truth.refs) - {str(ref) for each in intents for ref in refs_of(each)})
    return f"at the gateway and never intended: {strange}" if strange else None


def ledger_is_the_cash(seen: ProcessSeen) -> str | None:
    """What the desk counted is what the account moved by, to the cent."""
    if seen.truth.snapshot.positions:
        return None
    counted = seen.state.risk.net_usd_today
    if counted == seen.truth.earned_usd:
        return None
    return f"counted {counted}, the account moved by {seen.truth.earned_usd}"


def the_end_is_flat_or_protected(seen: ProcessSeen) -> str | None:
    """At the end nothing is held, or a stop works for it; and both sides hold the same."""
    held = sum(position.quantity for position in seen.truth.snapshot.positions)
    if held != seen.state.position:
        return f"the gateway holds {held}, the desk believes {seen.state.position}"
    return None if is_covered(seen.truth.snapshot) else f"{held} held without a stop"


def protected_soon_after_reconnect(seen: ProcessSeen) -> str | None:
    """A position without its stop is one for so many seconds at most, once the desk can act."""
    bound = seen.rules.execution.protect_within_seconds
    longest = max((_seconds(span) for span in naked_and_able(seen)), default=0.0)
    return f"unprotected for {longest:.1f} s while connected" if longest > bound else None


def naked_and_able(seen: ProcessSeen) -> Iterator[Span]:
    """Spans in which a position had no cover and a client was there that could act."""
    naked = [(since, until or seen.ended_at) for since, until in seen.readings.naked]
    clients = [*seen.readings.clients, (seen.ended_at, 0)]
    there = [(at, following) for (at, count), (following, _) in pairwise(clients) if count]
    for span in (both for one in naked for other in there if (both := _common(one, other))):
        yield from _without(span, seen.helpless)


def the_desk_goes_on(seen: ProcessSeen) -> str | None:
    """No blow leaves a desk that a person has to release."""
    kill = seen.state.kill
    return None if kill.is_running else f"{kill.state.value}: {kill.text}"


def _common(one: Span, other: Span) -> Span | None:
    since, until = max(one[0], other[0]), min(one[1], other[1])
    return (since, until) if until > since else None


def _without(span: Span, gone: Sequence[Span]) -> Iterator[Span]:
    since, end = span
    for start, until in sorted(gone):
        if until <= since or start >= end:
            continue
        if start > since:
            yield since, start
        since = max(since, until)
    if end > since:
        yield since, end


def _seconds(span: Span) -> float:
    return span[1] - span[0]


PROCESS_LAWS: Final[tuple[Law[ProcessSeen], ...]] = (
    chain_is_whole,
    session_is_closed,
    every_minute_has_one_decision,
    each_execution_is_booked_once,
    no_order_comes_twice,
    every_order_was_intended,
    ledger_is_the_cash,
    the_end_is_flat_or_protected,
    protected_soon_after_reconnect,
    the_desk_goes_on,
)
