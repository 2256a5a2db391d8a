"""The step: one input in, facts and commands out. The shell commits the facts before it sends."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, assert_never

from engine.broker import FeedReported
from engine.decision import Action, decide
from engine.desk.bars import bar_entry, close_bar, decision_entry, is_quality_news, see_bar
from engine.desk.care import awaits, cancel_entries, close_trade, is_due, take_care, tick
from engine.desk.encoding import entry_of
from engine.desk.facts import (
    BarClosed,
    ClockTicked,
    CommandFailed,
    Input,
    LoopFailed,
    OperatorCommanded,
    OperatorRefused,
    Recording,
    SessionClosed,
    SessionOpened,
)
from engine.desk.quiet import QuietBar, QuietStep, step_quiet
from engine.desk.reports import hear
from engine.desk.state import DVS_LEVEL_BEST, DeskState
from engine.desk.trades import follow, lift_limit
from engine.desk.turn import Step, Turn
from engine.errors import InputRefused
from engine.kill import KillCause, KillEvent, KillState, change, why_not_resume
from engine.ladder import STEP, Reason
from engine.market import MarketRow
from engine.modes import OperatorVerb
from engine.own_view import OwnFacts, OwnView, own_view
from engine.rules import Rules
from engine.trade import ExitKind

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
# Looked up once: an enumeration pays a call for each lookup, and this is asked on every bar.
_SKIP: Final = Action.SKIP
_TRADES: Final = Recording.TRADES
_COOLDOWN_STEP: Final = STEP[Reason.COOLDOWN_ACTIVE]
_new: Final = tuple.__new__

_LOCKS = {KillState.KILLED: Reason.KILL_SWITCH_ACTIVE, KillState.HALTED: Reason.HALTED}


class Desk:
    """The desk under one set of rules. `step` is pure; what is kept here only saves time."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._own: OwnView | None = None
        self._own_of: tuple[object, ...] = ()

    def step(self, state: DeskState, happened: Input) -> Step:
        """The state after one input, the facts to commit, and the commands to send after that."""
        if isinstance(happened, BarClosed):
            return self.step_bar(state, happened.row)
        turn = Turn(state, self.rules, _now(state, happened.at))
        match happened:
            case SessionOpened():
                turn.note(happened)
                lift_limit(turn)
                turn.ask("session open", at_once=True)
            case SessionClosed():
                turn.note(happened)
                if turn.state.is_exposed and not turn.state.kill.is_killed:
                    text = "something is still held after the close"
                    turn.kill(KillCause.CONSTITUTION_BREACH, text)
            case OperatorCommanded():
                _obey(turn, happened)
            case ClockTicked():
                return self._tick(turn, happened)
            case CommandFailed():
                turn.note(happened)
                follow(turn)
            case LoopFailed():
                turn.note(happened)
                if not turn.state.kill.is_killed:
                    turn.kill(KillCause.UNHANDLED_EXCEPTION, happened.text)
            case FeedReported():
                _hear_feed(turn, happened)
            case _:
                hear(turn, happened)
        take_care(turn)
        return turn.done()

    def _tick(self, turn: Turn, happened: ClockTicked) -> Step:
        """What time makes due; a tick that brings nothing about leaves no record."""
        if is_due(turn.state, turn.at, self.rules):
            tick(turn)
            take_care(turn)
            if turn.entries:
                turn.entries.insert(0, entry_of(happened))
        return turn.done()

    def wants_clock(self, state: DeskState) -> bool:
        """Whether the desk waits for something that time alone may bring about."""
        return awaits(state)

    def is_due(self, state: DeskState, at: datetime) -> bool:
        """Whether a tick at this instant would do anything."""
        return is_due(state, at, self.rules)

    def enters_from(self, state: DeskState) -> datetime | None:
        """From when on a bar could be an entry if nothing else happens; null for not this session.

        What heals with time alone, the cooldown and the EQS, is left to the decision.
        """
        if state.kill.is_killed:
            return None
        own = self._own_view(state, 1.0)
        if any(step != _COOLDOWN_STEP for step in own.noes):
            return None
        return own.cooldown_ends_at or _ALWAYS

    def step_bar(self, state: DeskState, row: MarketRow) -> Step:
        """The step of a closed bar; one seen before, or late, leaves no second record."""
        session = state.session
        if session is None:
            raise InputRefused(
                f"expected an open session, got the bar of {row.closes_at}; open the session first"
            )
        if state.last_bar_at is not None and row.closes_at <= state.last_bar_at:
            return Step(state, (), ())
        eqs = state.quality.eqs(state.bars_before + row.minute + 1, self.rules.execution)
        law = self.rules.constitution
        if (
            state.trade is None
            and not is_quality_news(state.dvs_level, row.dvs, session.recording, law)
            and eqs >= law.eqs_kill_below
        ):
            own = self._own_view(state, eqs)
            decision = decide(row, own, self.rules)
            if decision.action is _SKIP:
                if session.recording is _TRADES:
                    return _new(Step, (state, (), (), decision))
                after = _new(DeskState, (row.closes_at, *state[1:]))
                records = (bar_entry(row), decision_entry(decision, row, own))
                return _new(Step, (after, records, (), decision))
        return self._busy_bar(state, row, eqs)

    def is_calm(self, state: DeskState) -> bool:
        """Whether this desk meets every bar without a setup alike until one of its own acts."""
        session = state.session
        return (
            session is not None
            and session.recording is Recording.FULL
            and state.trade is None
            and state.dvs_level == DVS_LEVEL_BEST
            and not state.quality.impairments
        )

    def step_quiet(self, state: DeskState, bars: Sequence[QuietBar]) -> QuietStep:
        """The steps of a run of bars for a calm desk: what `step_bar` makes of them one by one."""
        return step_quiet(state, bars, self._own_view(state, 1.0))

    def _busy_bar(self, state: DeskState, row: MarketRow, eqs: float) -> Step:
        turn = Turn(state, self.rules, row.closes_at)
        see_bar(turn, row, eqs)
        decision = close_bar(turn, row, self._own_view(turn.state, eqs), eqs)
        take_care(turn)
        return turn.done(decision)

    def _own_view(self, state: DeskState, eqs: float) -> OwnView:
        """The desk's own half of the ladder, made again only when something of it has changed."""
        session, is_flat = state.session, state.trade is None
        equity_usd = None if state.account is None else state.account.equity_usd
        feed = None if state.feed is None else state.feed.state
        parts = (state.kill, state.risk, equity_usd, is_flat, session, feed, eqs)
        known = self._own
        if known is not None and parts == self._own_of:
            return known
        facts = OwnFacts(
            lock=_LOCKS.get(state.kill.state),
            is_flat=is_flat,
            risk=state.risk,
            eqs=eqs,
            equity_usd=equity_usd,
            standings={} if session is None else session.standings,
            feed=feed,
        )
        self._own, self._own_of = own_view(facts, self.rules), parts
        return self._own


def _hear_feed(turn: Turn, report: FeedReported) -> None:
    """Book what the market data is worth, once for each change."""
    before = turn.state.feed
    if before is None or (before.state, before.text) != (report.state, report.text):
        was_live = turn.state.is_feed_live
        turn.note(report)
        if was_live and not turn.state.is_feed_live:
            cancel_entries(turn)


def _now(state: DeskState, at: datetime) -> datetime:
    """The instant of the step: a late report does not turn the clock back behind the last bar."""
    return at if state.last_bar_at is None else max(at, state.last_bar_at)


def _obey(turn: Turn, command: OperatorCommanded) -> None:
    """A person's lever; a command that cannot be obeyed is answered with the reason."""
    turn.note(command)
    kill, at, text = turn.state.kill, turn.at, command.reason
    match command.verb:
        case OperatorVerb.HALT:
            event, cause = KillEvent.PERSON_HALTED, KillCause.PERSON
            turn.note(change(kill, event, at=at, cause=cause, text=text, by=command.by))
            cancel_entries(turn)
        case OperatorVerb.KILL:
            turn.kill(KillCause.PERSON, text, by=command.by)
        case OperatorVerb.FLATTEN:
            close_trade(turn, ExitKind.PERSON)
        case OperatorVerb.RESUME:
            refusal = why_not_resume(kill, reason=text, is_flat=not turn.state.is_exposed)
            if refusal is not None:
                turn.note(OperatorRefused(at=at, verb=command.verb, text=refusal))
                return
            event = KillEvent.PERSON_RESUMED
            turn.note(change(kill, event, at=at, cause=None, text=text, by=command.by))
        case _:
            assert_never(command.verb)
