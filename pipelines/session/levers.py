"""A person's levers: halt, resume, kill, flatten; with a session alive or without one."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from engine.broker import ConnectionReported, ConnectionState, LiveBroker, MarketReport
from engine.calendar import Session
from engine.desk import Mode, OperatorVerb, SessionOpened
from engine.errors import CredenceError, NotAuthorised, RetryLater, SessionBusy
from engine.rules import Rules
from pipelines.brokers.unreachable import UnreachableBroker
from pipelines.session.asking import POLL_SECONDS, ask_session
from pipelines.session.authority import PAPER_PREFIX
from pipelines.session.desk_process import DeskProcess, desk_process
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, LeverCommand, LeverInbox
from pipelines.session.observing import seen_by
from pipelines.session.reaching import connect_hearing
from pipelines.session.reins import Reins

CONNECT_AGAIN_SECONDS: Final = 5.0
NEEDS_BROKER: Final = frozenset({OperatorVerb.KILL, OperatorVerb.FLATTEN})

NOT_ASKED_YET: Final = "the broker is not asked before the kill is on disk"
NOT_KNOWN_FLAT: Final = "the desk is KILLED, on disk, and the account is NOT known to be flat"
WHAT_TO_DO: Final = (
    "Look at the account on the broker's own page and close by hand what is held there; once the "
    "broker can be reached again, `credence flatten` sees to the rest"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverDesk:
    """The desk a lever belongs to, and how to reach its broker when no session does.

    `session` is the one the lever is booked under when none is open in the journal.
    """

    files: SessionFiles
    rules: Rules
    mode: Mode
    session: Session
    broker: Callable[[], LiveBroker]
    live_account: str | None = None


def pull_lever(
    desk: LeverDesk,
    verb: OperatorVerb,
    *,
    by: str,
    reason: str,
    say: Callable[[str], None],
    gives_up: Callable[[], bool] = lambda: False,
) -> LeverAnswer:
    """Have the desk obey, and return the last word on it; `is_final` is false when given up.

    A session that is alive is told through its inbox. Without one this process takes its lock, and
    for a kill or a flatten its broker. A kill is on disk before the broker is asked for, and is not
    given up by itself: with the broker unreachable it is tried again until `gives_up`; of one that
    refuses us the answer says that the account is not known flat. A flatten raises then:
    `NotAuthorised` when the account is not the desk's, or the broker's own error.
    """
    command = LeverInbox(desk.files.levers).put(verb, by=by, reason=reason)
    return carry_through(desk, command, say=say, gives_up=gives_up)


def carry_through(
    desk: LeverDesk,
    command: LeverCommand,
    *,
    say: Callable[[str], None],
    gives_up: Callable[[], bool] = lambda: False,
) -> LeverAnswer:
    """`pull_lever` for a command that is in the inbox already."""
    while True:
        answer = ask_session(desk.files, command, say=say, gives_up=gives_up)
        if answer is not None:
            return answer
        try:
            return _act(desk, command, LeverInbox(desk.files.levers), say, gives_up)
        except SessionBusy:
            continue  # A session started meanwhile and finds the command in its inbox.


def _act(
    desk: LeverDesk,
    command: LeverCommand,
    inbox: LeverInbox,
    say: Callable[[str], None],
    gives_up: Callable[[], bool],
) -> LeverAnswer:
    """Be the desk: take the lock, fold the journal, and do what the session would have done."""
    broker = _broker_for(command.verb, desk)
    with desk_process(
        desk.files,
        desk.rules,
        broker,
        what=f"credence {command.verb}",
        mode=desk.mode,
        session=desk.session,
        contexts=pl.DataFrame(),
        say=say,
    ) as process:
        try:
            return _LonelyLever(desk, process, command, inbox, say, gives_up).pull()
        finally:
            broker.close()


def _broker_for(verb: OperatorVerb, desk: LeverDesk) -> LiveBroker:
    """The broker of a lever that needs one, as the desk's mode sees it.

    A kill stands even where none can be made.
    """
    if verb not in NEEDS_BROKER:
        return UnreachableBroker("a lever without a session")
    try:
        return seen_by(desk.mode, desk.broker(), desk.files, desk.rules)
    except CredenceError as error:
        if verb is not OperatorVerb.KILL:
            raise
        return UnreachableBroker(str(error))


class _LonelyLever:
    """One lever, pulled by the process that acts for the desk itself."""

    def __init__(
        self,
        desk: LeverDesk,
        process: DeskProcess,
        command: LeverCommand,
        inbox: LeverInbox,
        say: Callable[[str], None],
        gives_up: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._process = process
        self._command = command
        self._inbox = inbox
        self._say = say
        self._gives_up = gives_up
        self._broker = process.dealing.broker
        self._reins = Reins(process, desk.files)
        self._is_connected = False
        self._tried_at = float("-inf")
        self._trouble = ""

    def pull(self) -> LeverAnswer:
        """Obey, and for a kill or a flatten stay until the broker says flat."""
        match self._command.verb:
            case OperatorVerb.KILL:
                return self._kill()
            case OperatorVerb.FLATTEN:
                self._connect()
                self._open()
                self._compare()
        self._reins.pull(self._command, is_carried=True)
        return self._see_through()

    def _kill(self) -> LeverAnswer:
        """The kill is on disk before the broker is asked for, and whatever comes of that."""
        self._book_down(NOT_ASKED_YET)
        self._open()
        self._reins.pull(self._command, is_carried=True)
        try:
            self._connect()
            return self._see_through()
        except CredenceError as error:
            return self._not_known_flat(error)
        except BaseException:
            self._say(f"{NOT_KNOWN_FLAT}. {WHAT_TO_DO}")
            raise

    def _see_through(self) -> LeverAnswer:
        answer = self._answer()
        while not (answer.is_final or self._gives_up()):
            if not self._is_connected:
                self._connect()
            self._hear()
            said = self._answer()
            if said != answer:
                self._say(said.text)
            answer = said
        self._process.tell_news()
        if answer.is_final:
            self._inbox.forget(self._command.id)
        return answer

    def _not_known_flat(self, error: CredenceError) -> LeverAnswer:
        """The last word on a kill whose broker refused us: the person has to look."""
        self._process.tell_news()
        answer = self._answer()
        self._inbox.forget(self._command.id)
        return replace(answer, text=f"{NOT_KNOWN_FLAT}: {error}. {WHAT_TO_DO}", is_final=False)

    def _answer(self) -> LeverAnswer:
        answer = self._inbox.answer_to(self._command.id)
        if answer is None:
            raise AssertionError(f"{self._command.id} was obeyed and not answered")
        return answer

    def _connect(self) -> None:
        """Try the broker once, not too often; what it cannot be asked is booked as down."""
        if time.monotonic() - self._tried_at < CONNECT_AGAIN_SECONDS:
            time.sleep(POLL_SECONDS)
            return
        self._tried_at = time.monotonic()
        dealing = self._process.dealing
        try:
            if not connect_hearing(self._broker, self._hear_others, self._gives_up):
                self._say("the broker cannot be reached: no answer yet, and not waited for longer")
                return
            self._require_account()
            if self._desk.mode is Mode.OBSERVE:  # A shadow is flattened by the market's next bar.
                self._broker.subscribe(self._desk.rules.instrument.symbol)
            self._is_connected = True
        except RetryLater as error:
            self._say_once(f"the broker cannot be reached: {error}")
            self._book_down(str(error))
            return
        if dealing.state.down_since is not None:
            up = ConnectionReported(at=self._broker.now(), state=ConnectionState.UP)
            dealing.tell(up)

    def _say_once(self, trouble: str) -> None:
        """What keeps the broker away, until it is something else: it is tried every few seconds."""
        if trouble != self._trouble:
            self._trouble = trouble
            kept = "; tried again until it can, Ctrl-C ends the waiting and keeps what is on disk"
            self._say(f"{trouble}{kept}")

    def _book_down(self, text: str) -> None:
        """Know that the broker cannot be asked: what is to be sent waits until it can."""
        dealing = self._process.dealing
        if dealing.state.down_since is None:
            down = ConnectionReported(at=self._broker.now(), state=ConnectionState.DOWN, text=text)
            dealing.tell(down)

    def _hear_others(self) -> None:
        """Obey what else a person gives: nobody but this process can."""
        self._reins.obey(but=self._command.id)
        self._process.tell_news()

    def _require_account(self) -> None:
        mode, account = self._desk.mode, self._broker.account_id
        is_ours = {
            Mode.PAPER: account.startswith(PAPER_PREFIX),
            Mode.LIVE: account == self._desk.live_account,
        }.get(mode, True)
        if not is_ours:
            raise NotAuthorised(
                f"the {mode} desk is not of account {account}: nothing was sent to it; "
                "connect to the account the desk trades"
            )

    def _open(self) -> None:
        """A desk that never had a session is given the one the lever is booked under."""
        session, dealing = self._desk.session, self._process.dealing
        if dealing.state.session is None:
            dealing.tell(
                SessionOpened(
                    at=self._broker.now(),
                    session_date=session.session_date,
                    symbol=self._desk.rules.instrument.symbol,
                    opens_at=session.opens_at,
                    closes_at=session.closes_at,
                    mode=self._desk.mode,
                    standings={},
                )
            )

    def _compare(self) -> None:
        """See what the broker holds before it is told to flatten."""
        if self._is_connected:
            try:
                self._process.dealing.take_stock()
            except RetryLater as error:
                self._say(f"the broker does not answer yet: {error}")

    def _hear(self) -> None:
        if self._is_connected:
            self._broker.wait(POLL_SECONDS)
            told = self._broker.told()
            for report in told:
                if not isinstance(report, MarketReport):
                    self._process.dealing.tell(report)
            if told:
                self._broker.caught_up()
        self._reins.obey()
        self._process.dealing.tick()
        self._reins.report()
