"""The session run: one session of the desk at one broker, whoever started it."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

import orjson

from assets.as_seen import SEEN
from assets.ports import MarketStore
from assets.prior_sessions import contexts_from
from engine.broker import LiveBroker
from engine.journal import Kind
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.session.bars import SessionBars
from pipelines.session.desk_process import DeskProcess, desk_process
from pipelines.session.files import SessionFiles
from pipelines.session.heartbeat import RunState
from pipelines.session.loop import SessionLoop
from pipelines.session.observing import seen_by
from pipelines.session.opening import admit, is_worth_waiting, refuse_closed, refuse_older_context
from pipelines.session.plan import Ending, SessionPlan, SessionResult
from pipelines.session.pulse import Pulse
from pipelines.session.reaching import reach
from pipelines.session.reins import Reins

_END_OF_LINES: Final = None


class SessionRun:
    """One run of one session. `run` may be called once, from any thread.

    The decisions are made on a thread of their own, so that an interrupt, which strikes the main
    thread at any place, never strikes between a commit and the send that belongs to it. `told` is
    called in the caller's thread with each line as it happens.
    """

    def __init__(
        self,
        plan: SessionPlan,
        *,
        files: SessionFiles,
        rules: Rules,
        market: MarketStore,
        broker: LiveBroker,
        told: Callable[[str], None],
        interrupted_by: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._plan = plan
        self._files = files
        self._rules = rules
        self._market = market
        self._broker = seen_by(plan.mode, broker, files, rules)
        self._told = told
        self._interrupts: tuple[type[BaseException], ...] = (KeyboardInterrupt, *interrupted_by)
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._stop = Event()
        self._abandon = Event()
        self._result: SessionResult | None = None
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """Ask the run to stop entering, to flatten or leave by policy, and to end."""
        self._stop.set()

    def run(self) -> SessionResult:
        """Play the session to its end.

        Raises `SessionBusy`, `NotAuthorised` or `InputRefused` before anything was sent, and what
        failed in the loop after the kill path. A broker that is out of reach at the start is waited
        for as long as the session lasts; its error is raised when that is over. An interrupt is
        raised again when the run has ended as its policy says; a second one lets go at once.
        """
        worker = Thread(target=self._work, name="session run")
        worker.start()
        struck = self._pass_on_lines()
        worker.join()
        for error in (self._failure, struck):
            if error is not None:
                raise error
        if self._result is None:
            raise AssertionError("the session run ended without a result and without an error")
        return self._result

    def _pass_on_lines(self) -> BaseException | None:
        """Until the run has ended; returns what struck meanwhile: an interrupt, or the listener.

        A listener that raises is not called again, and does not end the session.
        """
        interrupt: BaseException | None = None
        listener: Exception | None = None
        while True:
            try:
                line = self._lines.get()
                if line is _END_OF_LINES:
                    return interrupt or listener
                if listener is None:
                    self._told(line)
            except self._interrupts as struck:
                if interrupt is not None:
                    self._abandon.set()
                interrupt = interrupt or struck
                self._stop.set()
            except Exception as error:  # noqa: BLE001 - It is raised when the session is over.
                listener = error

    # ── On the thread of the run ────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        try:
            self._result = self._play()
        except BaseException as error:  # noqa: BLE001 - It is raised again in the caller's thread.
            self._failure = error
        finally:
            self._lines.put(_END_OF_LINES)

    def _play(self) -> SessionResult:
        try:
            return self._locked()
        finally:
            self._broker.close()

    def _locked(self) -> SessionResult:
        plan, rules, symbol = self._plan, self._rules, self._rules.instrument.symbol
        contexts = contexts_from(self._market, [plan.session], rules)
        with desk_process(
            self._files,
            rules,
            self._broker,
            what="a session run",
            mode=plan.mode,
            session=plan.session,
            contexts=contexts,
            say=self._lines.put,
        ) as desk:
            refuse_closed(plan, self._files, rules)
            known_of = contexts["prior_session_date"].item()
            refuse_older_context(plan, known_of, desk.say, is_exposed=desk.state.is_exposed)
            return self._played(desk, symbol)

    def _played(self, desk: DeskProcess, symbol: str) -> SessionResult:
        plan = self._plan
        pulse = Pulse(desk, plan, self._files)
        folder = self._files.bars(plan.mode, symbol, plan.session.session_date)
        journal = JournalReader(self._files.journal(plan.mode, symbol))
        known = journal.events(session_date=plan.session.session_date, kinds=(Kind.BAR,))
        bars = SessionBars(
            plan.session,
            self._rules.instrument,
            folder,
            source=SEEN,
            decided=(datetime.fromisoformat(event.at) for event in known),
            say=desk.say,
        )
        reins = Reins(desk, self._files)
        loop = SessionLoop(desk, plan, bars, reins, pulse, stop=self._stop, abandon=self._abandon)
        last = RunState.FAILED
        try:
            if self._is_reached(desk, pulse, reins):
                admit(plan, self._files, self._rules, self._broker)
                pulse.beat(RunState.STARTING, at_once=True)
                ending = loop.run()
            else:
                ending = Ending.STOPPED
            last = RunState.CLOSED if ending is Ending.CLOSED else RunState.STOPPED
        finally:
            desk.tell_news()
            pulse.beat(last, at_once=True)
        return self._told_result(desk, bars, loop, ending)

    def _is_reached(self, desk: DeskProcess, pulse: Pulse, reins: Reins) -> bool:
        """Connect, however long that takes while the session lasts; false when told to stop."""

        def hear(trouble: str) -> None:
            reins.obey()
            reins.report()
            pulse.beat(RunState.WAITING, text=trouble)

        is_reached = reach(
            self._broker,
            hear=hear,
            is_enough=lambda: self._stop.is_set() or self._abandon.is_set(),
            is_over=lambda: not is_worth_waiting(self._plan, self._broker.now()),
            say=desk.say,
        )
        if not is_reached:
            desk.say("stopped before the broker was reached: look at the account")
        return is_reached

    def _told_result(
        self, desk: DeskProcess, bars: SessionBars, loop: SessionLoop, ending: Ending
    ) -> SessionResult:
        plan, state, head = self._plan, desk.state, desk.writer.head
        decisions = desk.dealing.live.decisions
        journal = self._files.journal(plan.mode, self._rules.instrument.symbol)
        bars_path, rejected_path = bars.store()
        return SessionResult(
            ending=ending,
            mode=plan.mode,
            session_date=plan.session.session_date,
            journal=journal,
            digest=head.hash,
            events=head.seq,
            actions=Counter(each.action.value for each in decisions),
            reasons=Counter(each.reason.value for each in decisions if each.reason is not None),
            exits=_exits(JournalReader(journal), plan),
            equity_usd=None if state.account is None else state.account.equity_usd,
            state=state,
            bars=bars.frame,
            rejected=bars.rejected,
            bars_path=bars_path,
            rejected_path=rejected_path,
            decision_ms=tuple(loop.decision_ms),
            decided_at=desk.dealing.live.decided_at,
        )


def _exits(journal: JournalReader, plan: SessionPlan) -> Counter[str]:
    """How the session's trades ended, over all its runs."""
    events = journal.events(session_date=plan.session.session_date, kinds=(Kind.TRADE,))
    closed = (orjson.loads(event.payload) for event in events)
    return Counter(each["exit_kind"] for each in closed if each["fact"] == "TradeClosed")
