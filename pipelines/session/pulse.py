"""The heartbeat of a run: when the desk changed, and every ten seconds at least."""

from time import monotonic
from typing import Final

from pipelines.session.desk_process import DeskProcess
from pipelines.session.files import SessionFiles
from pipelines.session.heartbeat import Heartbeat, RunState, signature
from pipelines.session.plan import SessionPlan
from pipelines.storage.atomic import is_no_space

MINUTE_SECONDS: Final = 60.0
EVERY_SECONDS: Final = 10.0
"""Well within the minute after which a silent run is taken for dead."""

LEAST_SECONDS: Final = 1.0


class Pulse:
    """Writes the heartbeat: every ten seconds of wall time, and on news at most once a second."""

    def __init__(self, desk: DeskProcess, plan: SessionPlan, files: SessionFiles) -> None:
        self._desk = desk
        self._plan = plan
        self._path = files.heartbeat
        self._written_at = float("-inf")
        self._said_at = float("-inf")
        self._last: object = None

    def beat(self, run: RunState, *, text: str = "", at_once: bool = False) -> None:
        """Write if it is due; each minute it is a line of the log too.

        A full disk leaves the last one, which grows old and is noticed; it ends no session.
        """
        state, now = self._desk.state, monotonic()
        news = (
            run,
            text,
            state.last_bar_at,
            state.kill,
            state.position,
            state.down_since,
            state.feed,
        )
        since = now - self._written_at
        is_due = since >= EVERY_SECONDS or (news != self._last and since >= LEAST_SECONDS)
        if not (is_due or at_once):
            return
        self._written_at, self._last = now, news
        beat = self._made(run, text)
        try:
            beat.write(self._path)
        except OSError as error:
            if not is_no_space(error):
                raise
            self._desk.say(f"the heartbeat could not be written: {error}")
        if now - self._said_at >= MINUTE_SECONDS:
            self._said_at = now
            self._desk.say(
                f"heartbeat: {beat.run}, desk {beat.desk}, position {beat.position}, "
                f"{beat.bars} bars, data {beat.feed or 'not told yet'}"
            )

    def _made(self, run: RunState, text: str) -> Heartbeat:
        state, dealing = self._desk.state, self._desk.dealing
        last_at, session = state.last_bar_at, self._plan.session
        return Heartbeat(
            **signature(),  # type: ignore[arg-type]
            run=run,
            mode=self._plan.mode.value,
            symbol=self._desk.rules.instrument.symbol,
            session_date=session.session_date.isoformat(),
            account_id=dealing.broker.account_id,
            market_now=dealing.broker.now().isoformat(),
            desk=state.kill.state.value,
            desk_text=state.kill.text,
            is_flat_verified=state.kill.is_flat_verified,
            position=state.position,
            trade=None if state.trade is None else state.trade.plan.decision_id,
            last_bar_at=None if last_at is None else last_at.isoformat(),
            decision=self._desk.last_decision,
            feed=None if state.feed is None else state.feed.state.value,
            is_connected=state.down_since is None,
            bars=len(dealing.live.decisions),
            text=text,
        )
