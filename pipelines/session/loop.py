"""The session's loop: hear the broker, obey a person, look at the clock, say that we are alive."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from threading import Event
from time import monotonic, perf_counter
from typing import Final

from engine.broker import (
    BarReported,
    BrokerReport,
    FeedReported,
    FeedState,
    MarketReport,
    QuoteReported,
)
from engine.desk import LoopFailed, OperatorCommanded, OperatorVerb, SessionClosed
from engine.errors import HaltDesk, InputRefused, RetryLater, StorageFull
from engine.market import instants
from pipelines.collector import collector_at_rest, tidy_up
from pipelines.session.bars import SessionBars
from pipelines.session.desk_process import DeskProcess
from pipelines.session.heartbeat import RunState
from pipelines.session.opening import CATCHING_UP, catch_up, open_session
from pipelines.session.plan import Ending, SessionPlan, StopPolicy
from pipelines.session.pulse import Pulse
from pipelines.session.reins import Reins
from pipelines.storage.atomic import is_no_space

WAIT_SECONDS: Final = 0.05
"""How long the broker is waited for at most: a lever is noticed within this time."""

LATE_AFTER: Final = timedelta(seconds=30)
"""A bar decided later than this after its close is recorded and never entered."""

SETTLING: Final = timedelta(minutes=5)
SETTLING_WALL_SECONDS: Final = 60.0
"""After the bell: late reports are still heard, in the broker's time or at most so long in ours."""

FLAT_WALL_SECONDS: Final = 30.0
"""How long a run that stops or has failed sees to it that the broker is flat."""


class SessionLoop:
    """One session from its open to its close, on one plain thread."""

    def __init__(
        self,
        desk: DeskProcess,
        plan: SessionPlan,
        bars: SessionBars,
        reins: Reins,
        pulse: Pulse,
        *,
        stop: Event,
        abandon: Event,
    ) -> None:
        self.desk = desk
        self.plan = plan
        self.bars = bars
        self.decision_ms: list[float] = []
        self._reins = reins
        self._pulse = pulse
        self._stop = stop
        self._abandon = abandon
        self._dealing = desk.dealing
        self._broker = desk.dealing.broker
        self._feed: FeedReported | None = None
        self._bell_rang_at: float | None = None
        self._has_begun = False

    def run(self) -> Ending:
        """Play the session; an error of the loop kills the desk before it is raised again.

        With a journal that cannot be written nothing may be sent: the native stop protects. A full
        disk ends the run the same way, whichever file it struck first.
        """
        try:
            with collector_at_rest():
                return self._played()
        except HaltDesk:
            raise
        except Exception as error:
            if isinstance(error, StorageFull) or is_no_space(error):
                raise HaltDesk(
                    f"the disk refused a file of the session: {error}; nothing more is sent, the "
                    "stop at the broker protects; free some space, and the next run goes on"
                ) from error
            if self._has_begun or not isinstance(error, RetryLater | InputRefused):
                self._fail(error)
            raise

    def _played(self) -> Ending:
        self._begin()
        tidy_up()
        while not self._is_over():
            if self._stop.is_set():
                return self._stop_early()
            self._turn()
        return self._close()

    def _begin(self) -> None:
        """What fails in here because the broker cannot be asked is tried again by the next run."""
        symbol = self.desk.rules.instrument.symbol
        open_session(self._dealing, self.plan, symbol)
        catch_up(self._dealing, self.bars, self.plan, symbol, self.desk.say)
        self._has_begun = True

    # ── One turn ────────────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        decided_at = self._dealing.state.last_bar_at
        self._broker.wait(WAIT_SECONDS)
        told = self._broker.told()
        self._hear(told)
        self._reins.obey()
        self._dealing.tick()
        self._reins.report()
        self._pulse.beat(RunState.RUNNING)
        if self._dealing.state.last_bar_at != decided_at:
            tidy_up()
        if any(not isinstance(report, QuoteReported) for report in told):
            self._dealing.caught_up()

    def _hear(self, told: Sequence[BrokerReport | MarketReport]) -> None:
        for is_bars, reports in groupby(told, lambda report: isinstance(report, BarReported)):
            if is_bars:
                self._hear_bars([bar for bar in reports if isinstance(bar, BarReported)])
                continue
            for report in reports:
                if isinstance(report, FeedReported):
                    self._feed = report
                if not isinstance(report, QuoteReported | BarReported):
                    self._dealing.tell(report)

    def _hear_bars(self, told: Sequence[BarReported]) -> None:
        """Bars that close now are decided as they should be, older ones without entering."""
        started = perf_counter()
        self.bars.add(told)
        frame, last_at = self.bars.frame, self._dealing.state.last_bar_at
        closes = instants(frame["closes_at"])
        decided = 0 if last_at is None else bisect_right(closes, last_at)
        if decided == frame.height:
            return
        late = bisect_left(closes, self._broker.now() - LATE_AFTER)
        is_late = late > decided
        if is_late:
            with self._not_entering():
                self._dealing.close_bars(frame.head(late))
        if late < frame.height:
            self._dealing.close_bars(frame)
        self.bars.settle(closes[decided:])
        if not is_late:
            self.decision_ms.append(1000 * (perf_counter() - started))

    @contextmanager
    def _not_entering(self) -> Iterator[None]:
        before, now = self._feed, self._broker.now()
        self._dealing.tell(FeedReported(at=now, state=FeedState.STALE, text=CATCHING_UP))
        yield
        if before is not None:
            self._dealing.tell(before)

    # ── Endings ─────────────────────────────────────────────────────────────────────────────────

    def _is_over(self) -> bool:
        """Whether the bell rang, the last bar is in, and nothing is awaited any more, or too long.

        The broker's time may stand still once its market is over, so ours bounds it as well.
        """
        now, closes_at = self._broker.now(), self.plan.session.closes_at
        if now < closes_at:
            return False
        if self._bell_rang_at is None:
            self._bell_rang_at = monotonic()
        state = self._dealing.state
        has_last_bar = state.last_bar_at is not None and state.last_bar_at >= closes_at
        is_settled = has_last_bar and not self._dealing.live.wants_clock
        waited = monotonic() - self._bell_rang_at
        return is_settled or now >= closes_at + SETTLING or waited >= SETTLING_WALL_SECONDS

    def _close(self) -> Ending:
        """Close the session in the journal; a desk that is killed stays until it is seen flat."""
        self._pulse.beat(RunState.STOPPING, at_once=True)
        try:
            self._dealing.tell(self._broker.account())
        except RetryLater as error:
            self.desk.say(f"the account could not be asked at the close: {error}")
        account = self._dealing.state.account
        self._dealing.tell(
            SessionClosed(
                at=max(self._broker.now(), self.plan.session.closes_at),
                position=self._dealing.state.position,
                equity_usd=None if account is None else account.equity_usd,
            )
        )
        self._until(self._is_done_with_kill, self._stop.is_set)
        return Ending.CLOSED

    def _stop_early(self) -> Ending:
        """Stop entering; flatten, or leave a protected position to the next run."""
        self._pulse.beat(RunState.STOPPING, at_once=True)
        state = self._dealing.state
        is_protected = state.position != 0 and state.unprotected_since is None
        is_left = is_protected and self.plan.stop_policy is StopPolicy.LEAVE_PROTECTED
        if is_left:
            self.desk.say("told to stop: the position stays, under the stop at the broker")
        elif state.is_exposed or state.trade is not None:
            reason = "the run was told to stop"
            self._command(OperatorVerb.FLATTEN, by="session run", reason=reason)
        deadline = monotonic() + FLAT_WALL_SECONDS
        self._until(lambda: is_left or self._is_flat(), lambda: monotonic() > deadline)
        if not (is_left or self._is_flat()):
            self.desk.say("stopped without having seen the broker flat: look at the account")
        return Ending.STOPPED

    def _fail(self, error: Exception) -> None:
        """The kill path of an unexpected error: kill, flatten, verify; then it is raised again."""
        text = f"{type(error).__name__}: {error}"
        self._dealing.tell(LoopFailed(at=self._broker.now(), text=text))
        deadline = monotonic() + FLAT_WALL_SECONDS
        self._until(self._is_done_with_kill, lambda: monotonic() > deadline)

    def _until(self, is_done: Callable[[], bool], is_enough: Callable[[], bool]) -> None:
        """Go on hearing the broker, without deciding bars, until done or enough."""
        while not (is_done() or is_enough() or self._abandon.is_set()):
            self._broker.wait(WAIT_SECONDS)
            told = self._broker.told()
            for report in told:
                if not isinstance(report, MarketReport):
                    self._dealing.tell(report)
            self._reins.obey()
            self._dealing.tick()
            if told:
                self._broker.caught_up()
            self._reins.report()
            self._pulse.beat(RunState.STOPPING)
        self._reins.report()

    def _command(self, verb: OperatorVerb, *, by: str, reason: str) -> None:
        self._dealing.tell(
            OperatorCommanded(at=self._broker.now(), verb=verb, by=by, reason=reason)
        )

    def _is_flat(self) -> bool:
        state = self._dealing.state
        return not state.is_exposed and state.trade is None

    def _is_done_with_kill(self) -> bool:
        kill = self._dealing.state.kill
        return not kill.is_killed or kill.is_flat_verified
