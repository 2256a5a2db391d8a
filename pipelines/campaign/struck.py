"""A desk as the campaign runs it: every step on disk before its commands, and struck at any point.

The process dies before a commit, after it, or after a send; the disk refuses a commit. What is left
is the journal, and a new process folds it, compares with the broker and catches up with the bars.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from engine.broker import (
    BrokerReport,
    BrokerSnapshot,
    Command,
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
    FlattenPosition,
)
from engine.desk import (
    EMPTY,
    BarClosed,
    CommandFailed,
    Desk,
    DeskState,
    Input,
    SessionOpened,
    Step,
    fact_of,
    fold,
    state_from_json,
    state_to_json,
)
from engine.desk.facts import IntentRecorded
from engine.errors import CredenceError, HaltDesk
from engine.exchange import Exchange, FaultKind
from engine.journal import REPLAY_CODE, Chain, Event, Kind, Stamp
from engine.market import MarketRow
from engine.rules import Rules
from engine.units import OrderRef
from pipelines.campaign.day_laws import differences
from pipelines.campaign.law import LawBroken, judge
from pipelines.campaign.step_laws import STEP_LAWS, StepSeen
from pipelines.campaign.troubles import Storm, WorldTrouble
from pipelines.shadow import COMMANDS_MAX, ShadowDesk, refs_of

CATCHING_UP: Final = "bars that were missed are being caught up"
_STRIKES: Final = frozenset({WorldTrouble.RESTART, WorldTrouble.DISK_ERROR})
IDLE_SHARE: Final = 0.01
"""How often, beside a step that sends, a step that sends nothing is struck."""


class Struck(CredenceError):
    """The process is gone, for so many seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"gone for {seconds} s")
        self.seconds = seconds


class StruckDesk(ShadowDesk):
    """The real desk under a storm; `disk` is what survives it, `now` the market's time."""

    def __init__(
        self,
        rules: Rules,
        exchange: Exchange,
        storm: Storm,
        at: datetime,
        *,
        judge_command: Callable[[Command], None],
    ) -> None:
        super().__init__(Desk(rules), EMPTY, exchange)
        self.rules = rules
        self.storm = storm
        self.now = at
        self.disk: list[Event] = []
        self.sent_refs: Counter[OrderRef] = Counter()
        self.flattened_at: datetime | None = None
        self.known_since: datetime | None = None
        self.unanswered_at: datetime | None = None
        self.strikes: Counter[str] = Counter()
        self._judge_command = judge_command
        self._chain = Chain()
        self._stamp: Stamp | None = None
        self._folded, self._folded_events = EMPTY, 0
        self._unsent: list[Command] = []
        self._dice = Random(f"{storm.seed}/strikes")
        self._skew = timedelta(seconds=storm.skew_seconds)
        self._may_be_struck = not storm.rates.keys().isdisjoint(_STRIKES)
        self._is_skewed = WorldTrouble.CLOCK_SKEW in storm.rates
        self.is_spared = False

    # ── Inputs ──────────────────────────────────────────────────────────────────────────────────

    def open_on(self, opened: SessionOpened) -> None:
        """Stamp what follows with a session's date."""
        self._stamp = Stamp(opened.session_date, self.rules.contracts_hash, REPLAY_CODE)

    def hear(self, reports: Iterable[BrokerReport]) -> None:
        """What the broker says now, by its own clock."""
        self.deliver([self._by_its_clock(report) for report in reports])

    def deliver(self, inputs: Iterable[Input]) -> None:
        """Step through these inputs; an answer is heard after all that was on its way before it."""
        inbox, sent = deque(inputs), 0
        while inbox:
            commands = self._step(inbox.popleft())
            sent += len(commands)
            if sent > COMMANDS_MAX:
                raise HaltDesk(f"more than {COMMANDS_MAX} commands, the last was {commands[-1]}")
            for command in commands:
                inbox += self.submit(command, self.now)

    def decide(self, row: MarketRow) -> None:
        """One closed bar."""
        before = self.state
        step = self.desk.step_bar(before, row)
        if step.decision is None and step.state is before:
            return  # It was decided before.
        commands = self._keep(before, BarClosed(row), step)
        for command in commands:
            self.deliver(self.submit(command, self.now))

    def clock(self, at: datetime) -> datetime:
        """The broker's time at an instant."""
        return at + self._skew if self._is_skewed else at

    def _by_its_clock(self, report: BrokerReport | CommandFailed) -> BrokerReport | CommandFailed:
        return replace(report, at=self.clock(report.at)) if self._is_skewed else report

    # ── One step ────────────────────────────────────────────────────────────────────────────────

    def _step(self, happened: Input) -> tuple[Command, ...]:
        before = self.state
        return self._keep(before, happened, self.desk.step(before, happened))

    def _keep(self, before: DeskState, happened: Input, step: Step) -> tuple[Command, ...]:
        """Commit, and only then be in the new state and let the commands go."""
        is_sending = bool(step.commands)
        events: list[Event] = []
        if step.entries:
            self._maybe_strike("before the commit", is_sending=is_sending)
            events = self._commit(step)
        commands = self._book(step)
        self.entries.clear()
        if events and not (len(events) == 2 and not is_sending and events[1].kind == Kind.DECISION):
            self._note_position()
            seen = StepSeen(before, happened, self.state, events, self.rules)
            judge(STEP_LAWS, seen, self.now)
        if is_sending:
            self._maybe_strike("after the commit", is_sending=True)
        return commands

    def _commit(self, step: Step) -> list[Event]:
        if self._stamp is None:
            raise HaltDesk("expected an open session before the first commit")
        events = self._chain.seal(step.entries, self._stamp)
        self.disk += events
        for event in events:
            if event.kind == Kind.INTENT:
                fact = fact_of(event)
                if isinstance(fact, IntentRecorded):
                    self._unsent.append(fact.command)
        return events

    def _note_position(self) -> None:
        is_known = self.state.position != 0
        self.known_since = (self.known_since or self.now) if is_known else None

    # ── Commands ────────────────────────────────────────────────────────────────────────────────

    def _about_to_send(self, command: Command) -> None:
        """The write-ahead: an intent on disk, not sent before, is what allows a send."""
        try:
            self._unsent.remove(command)
        except ValueError:
            text = f"{command} is sent and not on disk"
            raise LawBroken("nothing_is_sent_before_it_is_on_disk", text, self.now) from None
        self.sent_refs.update(refs_of(command))
        if isinstance(command, FlattenPosition):
            self.flattened_at = self.now
        self._judge_command(command)

    def submit(self, command: Command, _at: datetime) -> list[BrokerReport | CommandFailed]:
        """As a shadow desk does, but at the market's time and answered by the broker's.

        Its whole truth may come twice. The failure of a query is remembered as an answer owed.
        """
        self._about_to_send(command)
        answers = super().submit(command, self.now)
        rate = 0.0 if self.is_spared else self.storm.rates.get(FaultKind.DUPLICATED, 0.0)
        if rate and self._dice.random() < rate:
            answers += [answer for answer in answers if isinstance(answer, BrokerSnapshot)]
        if any(isinstance(answer, CommandFailed) for answer in answers):
            self.unanswered_at = self.now
        self._maybe_strike("after the send", is_sending=True)
        return [self._by_its_clock(answer) for answer in answers]

    # ── Strikes and recovery ────────────────────────────────────────────────────────────────────

    def _maybe_strike(self, point: str, *, is_sending: bool) -> None:
        if self.is_spared or not self._may_be_struck:
            return
        rates = self.storm.rates
        share = 1.0 if is_sending else IDLE_SHARE
        if self._dice.random() < rates.get(WorldTrouble.RESTART, 0.0) * share:
            self.strikes[f"struck {point}"] += 1
            raise Struck(self._dice.choice((1, 5, 20, 70, 200)))
        is_commit = point == "before the commit"
        if is_commit and self._dice.random() < rates.get(WorldTrouble.DISK_ERROR, 0.0) * share:
            self.strikes["the disk refused"] += 1
            raise Struck(self._dice.choice((5, 60, 400, 1500)))

    def refold(self) -> DeskState:
        """What the disk folds to; only what came since the last time is folded anew."""
        new = self.disk[self._folded_events :]
        self._folded = fold(map(fact_of, new), self.rules, self._folded)
        self._folded_events = len(self.disk)
        return self._folded

    def wake(
        self, opened: SessionOpened, missed: Sequence[MarketRow], *, is_dark: bool = False
    ) -> None:
        """A new process: fold, open, compare with the broker, catch up without entering.

        In the dark no data come yet, and none are called live.
        Raises `Struck` when the broker cannot be asked, as the session run gives up then.
        """
        folded = state_from_json(
            state_to_json(self.refold())
        )  # As one start keeps it for the next.
        differing = differences(folded, self.state)
        if differing is not None:
            raise LawBroken("fold_is_the_live_state", differing, self.now)
        self.state, self.desk = folded, Desk(self.rules)
        self._wants_clock = None
        self._unsent.clear()
        at = self.clock(self.now)
        told = self.exchange.reconnect(self.now)
        stale = FeedReported(at=at, state=FeedState.STALE, text=CATCHING_UP)
        self.deliver((stale, replace(opened, at=at)))
        if self.state.down_since is not None:
            up = ConnectionReported(at=at, state=ConnectionState.UP, text="a new run")
            self.deliver((up,))
        reconciled_at = self.state.reconciled_at
        if reconciled_at is None or reconciled_at < min(at, self.now):
            raise Struck(10)
        # All since the open, as the broker tells them: most were decided before, and the last of
        # those is told again.
        last = self.state.last_bar_at or opened.opens_at
        for row in missed:
            if row.closes_at >= last:
                self.decide(row)
        self.hear(told)
        if not is_dark:
            self.deliver((FeedReported(at=at, state=FeedState.LIVE),))
