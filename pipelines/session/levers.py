"""A person's levers: halt, resume, kill, flatten; with a session alive or without one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from engine.broker import ConnectionReported, ConnectionState, LiveBroker, MarketReport
from engine.calendar import Session
from engine.desk import Mode, OperatorVerb, SessionOpened
from engine.errors import NotAuthorised, RetryLater, SessionBusy
from engine.rules import Rules
from pipelines.brokers.unreachable import UnreachableBroker
from pipelines.session.asking import POLL_SECONDS, ask_session
from pipelines.session.authority import PAPER_PREFIX
from pipelines.session.desk_process import DeskProcess, desk_process
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, LeverCommand, LeverInbox
from pipelines.session.reins import Reins

CONNECT_AGAIN_SECONDS: Final = 5.0
NEEDS_BROKER: Final = frozenset({OperatorVerb.KILL, OperatorVerb.FLATTEN})


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
    for a kill or a flatten its broker. A kill is on disk first, and is not given up by itself: with
    the broker unreachable it is tried again until `gives_up`. Raises `NotAuthorised` when the
    broker's account is not the desk's.
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
    needs_broker = command.verb in NEEDS_BROKER
    broker = desk.broker() if needs_broker else UnreachableBroker("a lever without a session")
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
        inbox.withdraw(command.id)
        try:
            return _LonelyLever(desk, process, command, inbox, say, gives_up).pull()
        finally:
            broker.close()


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

    def pull(self) -> LeverAnswer:
        """Obey, and for a kill or a flatten stay until the broker says flat."""
        if self._command.verb in NEEDS_BROKER:
            self._connect()
            self._open()
        self._reins.pull(self._command)
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
            self._broker.connect()
            self._require_account()
            self._is_connected = True
        except RetryLater as error:
            self._say(f"the broker cannot be reached: {error}")
            if dealing.state.down_since is None:
                down = ConnectionReported(
                    at=self._broker.now(), state=ConnectionState.DOWN, text=str(error)
                )
                dealing.tell(down)
            return
        if dealing.state.down_since is not None:
            up = ConnectionReported(at=self._broker.now(), state=ConnectionState.UP)
            dealing.tell(up)

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
        elif self._is_connected:
            try:
                dealing.take_stock()
            except RetryLater as error:
                self._say(f"the broker does not answer yet: {error}")

    def _hear(self) -> None:
        if self._is_connected:
            self._broker.wait(POLL_SECONDS)
            for report in self._broker.told():
                if not isinstance(report, MarketReport):
                    self._process.dealing.tell(report)
        self._process.dealing.tick()
        self._reins.report()
