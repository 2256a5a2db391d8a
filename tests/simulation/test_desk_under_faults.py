"""The desk against an exchange that delays, loses, doubles, reorders, rejects and hangs up.

Whatever happens: no ref is sent twice, no more than one contract is held by our own hand, the
journal verifies, every bar has one decision, and the desk ends flat or killed.
"""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

import pytest
from replay_market import RULES, market, settings

from engine.broker import BrokerReport, BrokerSnapshot, Command
from engine.desk import (
    EMPTY,
    ClockTicked,
    Desk,
    DeskState,
    Recording,
    SessionClosed,
    fact_of,
    fold,
)
from engine.errors import DuplicateOrderRef
from engine.exchange import Exchange, FaultKind, FaultPlan, exchange_settings
from engine.journal import Chain, Entry, Event, Stamp, Verified, verify
from engine.market import MarketRow
from engine.units import OrderRef
from pipelines.replay_sessions import PlayedSession, played_sessions
from pipelines.shadow import ShadowDesk, refs_of

SESSIONS = 3
COMMON = {
    FaultKind.DELAYED: 0.05,
    FaultKind.LOST: 0.03,
    FaultKind.DUPLICATED: 0.10,
    FaultKind.REORDERED: 0.10,
    FaultKind.LATE_COMMISSION: 0.30,
}
PLANS = {
    "messages": COMMON,
    "rejects": {**COMMON, FaultKind.REJECT: 0.4},
    "cancels": {**COMMON, FaultKind.FILL_AFTER_CANCEL: 0.5, FaultKind.CANCEL_UNANSWERED: 0.5},
    "queries": {**COMMON, FaultKind.QUERY_TIMEOUT: 0.3},
    "hang-ups": {
        FaultKind.DISCONNECT: 0.01,
        FaultKind.DISCONNECT_BEFORE_SEND: 0.05,
        FaultKind.DISCONNECT_AFTER_SEND: 0.05,
        FaultKind.DISCONNECT_MID_FILL: 0.2,
    },
    "another hand": {FaultKind.ALIEN_POSITION: 0.005},
    "everything": {
        **COMMON,
        FaultKind.REJECT: 0.05,
        FaultKind.FILL_AFTER_CANCEL: 0.2,
        FaultKind.CANCEL_UNANSWERED: 0.1,
        FaultKind.QUERY_TIMEOUT: 0.1,
        FaultKind.DISCONNECT: 0.002,
        FaultKind.DISCONNECT_MID_FILL: 0.1,
    },
}


class Watched(Exchange):
    """An exchange that remembers every command that reached it, refused or not."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)
        self.asked: list[Command] = []

    def submit(self, command: Command, at: object) -> list[BrokerReport]:
        self.asked.append(command)
        return super().submit(command, at)


@dataclass
class Run:
    """What one faulted run left behind."""

    exchange: Watched
    state: DeskState
    entries: list[Entry]
    states: list[tuple[int, DeskState]]
    positions: list[int]

    def events(self) -> list[Event]:
        stamp = Stamp(ROWS[0].session_date, RULES.contracts_hash, "test")
        return Chain().seal(self.entries, stamp)


def _sessions() -> list[PlayedSession]:
    played = market(SESSIONS + 4)
    wanted = settings(recording=Recording.FULL)
    return list(played_sessions(played.contexts, played.bars, RULES, wanted))[4:]


PLAYED = _sessions()
ROWS: list[MarketRow] = [row for session in PLAYED for row in session.rows]


class Forgetful(ShadowDesk):
    """A desk that is struck down before every so many inputs and wakes from its journal."""

    every = 0

    def _step(self, happened):
        self.inputs = getattr(self, "inputs", 0) + 1
        if self.every and self.inputs % self.every == 0:
            stamp = Stamp(ROWS[0].session_date, RULES.contracts_hash, "test")
            self.state = fold(map(fact_of, Chain().seal(self.entries, stamp)), RULES)
            self.desk = Desk(RULES)
        return super()._step(happened)


def run(
    faults: dict[FaultKind, float],
    seed: int,
    *,
    sleep_every: int = 0,
    sessions: list[PlayedSession] = PLAYED,
    desk: Desk | None = None,
) -> Run:
    exchange = Watched(
        exchange_settings(RULES, Decimal(5000)), seed=seed, faults=FaultPlan(rates=faults)
    )
    shadow = Forgetful(desk or Desk(RULES), EMPTY, exchange)
    shadow.every = sleep_every
    states: list[tuple[int, DeskState]] = []
    positions: list[int] = []
    for session in sessions:
        shadow.deliver((session.opened,))
        for row in session.rows:
            shadow.play_bar(row)
            positions.append(exchange._book.account.position)
            if row.minute % 5 == 0:
                states.append((len(shadow.entries), shadow.state))
        closed_at = session.opened.closes_at
        shadow.deliver([*exchange.advance(closed_at), ClockTicked(at=closed_at)])
        shadow.deliver(
            (SessionClosed(at=closed_at, position=shadow.state.position, equity_usd=None),)
        )
    return Run(exchange, shadow.state, shadow.entries, states, positions)


def sent_refs(run: Run) -> Counter[OrderRef]:
    return Counter(ref for command in run.exchange.asked for ref in refs_of(command))


def holds(run: Run) -> None:
    """The laws of every run."""
    assert max(sent_refs(run).values(), default=1) == 1
    assert isinstance(verify(run.events()), Verified)
    bars = [entry.at for entry in run.entries if entry.kind == "bar"]
    decided = [entry.at for entry in run.entries if entry.kind == "decision"]
    assert bars == decided == [row.closes_at for row in ROWS]
    at_end = run.exchange.truth(ROWS[-1].closes_at)
    held = sum(position.quantity for position in at_end.positions)
    if held:
        assert run.state.kill.is_killed
    if not run.state.kill.is_killed:
        assert run.state.position == 0
        assert not at_end.working


@cache
def left_by(plan: str, seed: int) -> Run:
    """What a plan's run leaves behind; several laws look at the same one."""
    return run(PLANS[plan], seed)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", range(3))
def test_the_desk_keeps_its_laws_under(plan, seed):
    left = left_by(plan, seed)

    holds(left)
    # Another hand may come on top of our one contract; it is flattened before it can come again.
    allowed = 2 if FaultKind.ALIEN_POSITION in PLANS[plan] else 1
    assert max(abs(held) for held in left.positions) <= allowed


@pytest.mark.parametrize("plan", ["messages", "cancels", "everything"])
def test_a_desk_struck_down_again_and_again_does_exactly_what_it_would_have_done(plan):
    first_day = [PLAYED[0]]

    awake = run(PLANS[plan], 3, sessions=first_day)
    sleepy = run(PLANS[plan], 3, sessions=first_day, sleep_every=5)

    assert sleepy.entries == awake.entries
    assert sleepy.exchange.asked == awake.exchange.asked


@pytest.mark.parametrize("plan", PLANS)
def test_the_state_is_the_fold_of_the_journal_at_every_point_of_a_faulted_run(plan):
    left = left_by(plan, 2)
    facts = [fact_of(event) for event in left.events()]
    state, done = EMPTY, 0

    for entries, live in left.states:
        state, done = fold(facts[done:entries], RULES, state), entries
        assert state == live


def test_the_same_faults_make_the_same_journal():
    assert run(PLANS["everything"], 1).entries == left_by("everything", 1).entries
    assert left_by("everything", 1).entries != left_by("everything", 2).entries


def test_every_kind_of_trouble_really_happened():
    happened = Counter(
        entry.kind
        for plan in PLANS
        for seed in range(2)
        for entry in run(PLANS[plan], seed).entries
    )

    assert {"kill", "eqs", "connection", "error", "trade", "execution"} <= set(happened)


# ── Bugs planted to see the laws turn red ───────────────────────────────────────────────────────


class SendsTwice(ShadowDesk):
    """A shell that repeats every bracket, as one without write-ahead would after a crash."""

    def submit(self, command, at):
        answers = super().submit(command, at)
        return [*answers, *super().submit(command, at)] if refs_of(command) else answers


def test_a_shell_that_sends_a_ref_twice_is_caught():
    exchange = Exchange(exchange_settings(RULES, Decimal(5000)))
    shadow = SendsTwice(Desk(RULES), EMPTY, exchange)

    def play() -> None:
        for session in PLAYED:
            shadow.deliver((session.opened,))
            for row in session.rows:
                shadow.play_bar(row)

    with pytest.raises(DuplicateOrderRef):
        play()


class ForgetsToAsk(Desk):
    """A desk that neither hears the broker's whole truth nor counts what it was told of it."""

    def step(self, state, happened):
        if isinstance(happened, BrokerSnapshot):
            happened = replace(happened, positions=(), working=(), executions=(), completed=())
        return super().step(state, happened)


def test_a_desk_deaf_to_the_broker_loses_its_way_and_is_caught():
    broken = 0
    for seed in range(3):
        left = run({FaultKind.LOST: 0.5}, seed, desk=ForgetsToAsk(RULES))
        try:
            holds(left)
        except AssertionError:
            broken += 1
        broken += left.state.kill.is_killed

    assert broken > 0


def test_a_journal_without_one_decision_breaks_the_laws():
    left = run({}, 0)
    holds(left)
    place = next(i for i, entry in enumerate(left.entries) if entry.kind == "decision")

    with pytest.raises(AssertionError):
        holds(replace(left, entries=left.entries[:place] + left.entries[place + 1 :]))
