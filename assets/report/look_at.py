"""What a person should look at before the next open, gravest first, each in a sentence."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from assets.report.model import SessionMaterial
from engine.broker import (
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
    OrderEvent,
    OrderReported,
)
from engine.desk import CommandFailed, LoopFailed, OperatorCommanded
from engine.desk.facts import (
    AlertRaised,
    OperatorRefused,
    PositionAdopted,
    Reconciled,
    TroubleNoted,
)
from engine.journal import Broken, Kind
from engine.kill import KillChanged, KillState
from engine.learning.attribution import Cause
from engine.learning.executions import is_of_session
from engine.supervisor import read_ref
from engine.wording import clock_at, times


class Gravity(IntEnum):
    """How much it matters: it must be settled before the desk trades, it explains a result, or it
    is worth knowing.
    """

    STOP = 0
    LOOK = 1
    KNOW = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at, and what to do about it."""

    gravity: Gravity
    text: str


_DOUBTED: Final = (Cause.EXECUTION_FAILURE, Cause.DATA_QUALITY, Cause.EVENT_SHOCK)


def look_at(told: SessionMaterial) -> list[Finding]:
    """Everything found, gravest first; empty when there is nothing."""
    parts = (_books, _switch, _broker, _data, _trades, _contracts, _learning)
    found = [finding for part in parts for finding in part(told)]
    return sorted(found, key=lambda each: each.gravity)


def _books(told: SessionMaterial) -> Iterator[Finding]:
    """What must hold of the books, whatever the market did."""
    if isinstance(told.chain, Broken):
        yield Finding(
            Gravity.STOP,
            f"The journal is broken at event {told.chain.seq}: {told.chain.text}. Keep the file, "
            "restore the last good copy, and find out who wrote to it.",
        )
    if not told.is_night_done:
        yield Finding(
            Gravity.STOP,
            "The night has not learned from this session: run credence learn, or the job nightly "
            "in the UI. Until then its trades are read from the journal, and this page lacks their "
            "causes and what they do to trust.",
        )
    if not told.ledger.is_equal:
        is_settled = told.ledger.is_settled
        yield Finding(
            Gravity.LOOK if is_settled else Gravity.STOP,
            f"Ledger and broker differ{', as was accepted' if is_settled else ''}: "
            f"{told.ledger.text}.",
        )
    elif told.ledger.unreported_fees:
        yield Finding(
            Gravity.LOOK,
            f"The broker has not reported the fees of {told.ledger.unreported_fees} trades; the "
            "results use the contract's.",
        )


def _switch(told: SessionMaterial) -> Iterator[Finding]:
    """The kill switch, alerts and what people did."""
    for fact in told.facts:
        match fact:
            case KillChanged():
                is_up = fact.after is KillState.RUNNING
                yield Finding(
                    Gravity.KNOW if is_up else Gravity.LOOK,
                    f"{_when(fact.at, told)} the desk was {fact.after.value} by "
                    f"{fact.by}: {fact.text or 'no reason given'}.",
                )
            case LoopFailed() | CommandFailed():
                yield Finding(Gravity.STOP, f"{_when(fact.at, told)} error: {fact.text}.")
            case OperatorCommanded():
                why = f": {fact.reason}" if fact.reason else ""
                yield Finding(
                    Gravity.KNOW,
                    f"{_when(fact.at, told)} {fact.by} asked for {fact.verb.value}{why}.",
                )
            case OperatorRefused():
                yield Finding(Gravity.KNOW, f"{_when(fact.at, told)} refused: {fact.text}.")
    alerts = Counter(
        (fact.text, "" if fact.at <= told.ended_at else f", last {_when(fact.at, told)}")
        for fact in told.facts
        if isinstance(fact, AlertRaised)
    )
    for (text, when), count in alerts.items():
        yield Finding(Gravity.LOOK, f"Alert, {times(count, 'time')}{when}: {text}.")
    yield from _left(told)


def _left(told: SessionMaterial) -> Iterator[Finding]:
    """How the session left the switch, or somebody after it, and the way out."""
    state = told.desk_state_now
    if state is KillState.RUNNING:
        return
    how = f"ended {state.value}"
    if told.desk_state is not state:
        how = f"was {state.value} after the session and left so"
    if told.limit_halt is not None:
        yield Finding(
            Gravity.LOOK,
            f"The desk {how} by the loss limit of the {told.limit_halt}: it enters again by itself "
            f"when a new {told.limit_halt} opens.",
        )
        return
    yield Finding(
        Gravity.STOP,
        f"The desk {how}. See credence status; when the cause is settled: "
        "credence resume --reason TEXT.",
    )


def _when(at: datetime, told: SessionMaterial) -> str:
    """The time of day, and where it is not of the session's day or not of the session, that too."""
    local = at.astimezone(ZoneInfo(told.rules.session.timezone)).date()
    clock = clock_at(at, told.rules)
    dated = clock if local == told.day else f"{local} {clock}"
    return dated if at <= told.ended_at else f"{dated} (after the session)"


def _broker(told: SessionMaterial) -> Iterator[Finding]:
    """What went wrong between us and the broker; each kind once, with its count."""
    rejects = [
        fact.text
        for fact in told.facts
        if isinstance(fact, OrderReported) and fact.event is OrderEvent.REJECTED
    ]
    if rejects:
        yield Finding(
            Gravity.LOOK, f"{times(len(rejects), 'order')} refused; the first: {rejects[0]}."
        )
    for fact in told.facts:
        match fact:
            case PositionAdopted():
                yield Finding(
                    Gravity.STOP,
                    f"A position of {fact.found:+d} was taken over from the broker where "
                    f"{fact.expected:+d} was expected; no execution explains it.",
                )
            case Reconciled() if fact.findings:
                texts = "; ".join(finding.text for finding in fact.findings)
                is_repaired = all(finding.is_repairable for finding in fact.findings)
                yield Finding(
                    Gravity.LOOK if is_repaired else Gravity.STOP,
                    f"{_when(fact.at, told)} reconciliation {fact.cause} found: {texts}.",
                )
    troubles = Counter(fact.trouble for fact in told.facts if isinstance(fact, TroubleNoted))
    for trouble, count in sorted(troubles.items()):
        words = trouble.value.replace("_", " ")
        yield Finding(Gravity.LOOK, f"Execution quality fell {times(count, 'time')} by {words}.")
    yield from _connection(told)


def _connection(told: SessionMaterial) -> Iterator[Finding]:
    """Connection and market data while the session ran; before it they are still coming up."""
    opens_at, closes_at = told.session.opens_at, told.session.closes_at
    during = [fact for fact in told.facts if opens_at <= fact.at < closes_at]
    lost = [
        fact for fact in during if isinstance(fact, ConnectionReported) and fact.state in _IS_DOWN
    ]
    if lost:
        first, often = clock_at(lost[0].at, told.rules), times(len(lost), "time")
        yield Finding(Gravity.LOOK, f"The broker was lost {often}, first at {first}.")
    feeds = [
        fact
        for fact in during
        if isinstance(fact, FeedReported) and fact.state is not FeedState.LIVE
    ]
    if feeds:
        states = ", ".join(sorted({fact.state.value for fact in feeds}))
        first, often = clock_at(feeds[0].at, told.rules), times(len(feeds), "time")
        yield Finding(
            Gravity.LOOK, f"Market data was not live {often} ({states}), first at {first}."
        )


_IS_DOWN: Final = frozenset(ConnectionState) - {ConnectionState.UP}


def _data(told: SessionMaterial) -> Iterator[Finding]:
    """Bars that are missing, refused or doubtful."""
    missing = told.session.minutes - told.frame.height
    if missing:
        yield Finding(
            Gravity.LOOK,
            f"{times(missing, 'minute')} of {told.session.minutes} without a stored bar.",
        )
    if told.rejected.height:
        counted = told.rejected.group_by("reason").len("rows")
        reasons = ", ".join(
            f"{rows} {reason.replace('_', ' ')}"
            for reason, rows in counted.sort("rows", "reason", descending=[True, False]).rows()
        )
        yield Finding(
            Gravity.LOOK,
            f"{times(told.rejected.height, 'row')} of the source rejected: {reasons}.",
        )
    law = told.rules.constitution
    doubtful, fatal = (
        int((told.frame["dvs"] < gate).sum()) for gate in (law.dvs_entry_min, law.dvs_kill_below)
    )
    if fatal:
        yield Finding(
            Gravity.STOP,
            f"{times(fatal, 'bar')} below a data score of {law.dvs_kill_below:g}: the desk kills.",
        )
    if doubtful:
        yield Finding(
            Gravity.LOOK,
            f"{times(doubtful, 'bar')} below a data score of {law.dvs_entry_min:g}: no entry.",
        )
    shocks = int(told.frame["is_shock"].sum())
    if shocks:
        yield Finding(Gravity.KNOW, f"{times(shocks, 'shock bar')} in the session.")


def _trades(told: SessionMaterial) -> Iterator[Finding]:
    """Trades that say more about us than about the market."""
    for row in told.trades.sort("trade_number").iter_rows(named=True):
        name = f"Trade {row['trade_number']}"
        first_ref = row["order_refs"].partition(",")[0]
        is_ours = read_ref(first_ref) is not None
        if row["decision_id"] is None and is_ours and not is_of_session(first_ref, told.day):
            yield Finding(
                Gravity.LOOK,
                f"{name} was made by orders of another session, whose plan is in its journal: "
                f"{row['order_refs']}. It teaches nothing.",
            )
            continue
        if row["decision_id"] is None:
            yield Finding(Gravity.STOP, f"{name} was decided by nobody: find out who traded.")
            continue
        if row["cause"] in _DOUBTED:
            yield Finding(
                Gravity.LOOK, f"{name} ended by {row['cause_name']}: its result proves little."
            )
        if row["unprotected_seconds"] > told.rules.execution.protect_within_seconds:
            yield Finding(
                Gravity.STOP,
                f"{name} was held {row['unprotected_seconds']:.0f} s without a stop; at most "
                f"{told.rules.execution.protect_within_seconds:g} s are allowed.",
            )


def _contracts(told: SessionMaterial) -> Iterator[Finding]:
    """Whether the session was decided under the contracts that judge it on this page."""
    today = told.rules.contracts_hash
    decided = [event for event in told.events if event.kind == Kind.DECISION]
    others = sorted({event.contracts_hash for event in decided} - {today})
    if others:
        yield Finding(
            Gravity.LOOK,
            f"It was decided under contracts {', '.join(name[:12] for name in others)}, today's "
            f"are {today[:12]}: decisions, fills and their money are those of the session; the "
            "beliefs shown, causes, luck and what refusals were worth are by today's.",
        )


def _learning(told: SessionMaterial) -> Iterator[Finding]:
    """Trust that changed, templates that stay closed, and whether the session heeded any of it."""
    if told.mode == "replay" and not told.is_taught:
        yield Finding(
            Gravity.KNOW,
            "It was replayed without what any night taught: a template that a night put in "
            "quarantine trades in it all the same. credence replay --learn plays under them.",
        )
    own = told.rows["learning_state"].filter(pl.col("trust").is_not_null())
    for row in own.sort("template").iter_rows(named=True):
        if row["change"]:
            yield Finding(Gravity.KNOW, f"{row['change']}.")
        elif row["is_quarantined"]:
            yield Finding(
                Gravity.KNOW, f"{row['template']} stays in quarantine: {_wants(row, told)}."
            )


def _wants(row: Mapping[str, Any], told: SessionMaterial) -> str:
    """What a template in quarantine still lacks."""
    needed = told.rules.learning.reliability.shadow_wins_in_a_row
    if row["shadow_wins"] < needed:
        return f"{row['shadow_wins']} of {needed} shadow wins in a row"
    return "its shadow trades won, but the results it was closed for still stand"
