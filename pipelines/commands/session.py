"""`credence session`: one session of the desk by hand, in lines a person can read."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

from contracts.calendar import next_session, session_on
from engine.broker import LiveBroker
from engine.calendar import Session
from engine.desk import Mode
from engine.errors import NotAuthorised
from pipelines.alerts import alerts_told
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.session.authority import LiveConsent
from pipelines.session.plan import SessionPlan, SessionResult, StopPolicy
from pipelines.session.run import SessionRun
from pipelines.session.simulated import simulated_broker
from pipelines.wiring import Wiring


def run_session(
    wiring: Wiring,
    session_date: date | None,
    *,
    is_simulated: bool,
    seconds_per_minute: float,
    confirmed_account: str | None,
    leaves_position: bool,
    as_json: bool,
) -> int:
    """Trade one session as the settings say; 1 when it is not allowed to."""
    screen = Screen.of_process()
    if wiring.mode is Mode.LIVE and not wiring.settings.live_account:
        screen.fail(
            "LIVE expected CREDENCE_LIVE_ACCOUNT to name the account that may be traded; set it, "
            "or use --mode paper. Nothing was connected to"
        )
        return Exit.NO
    session = session_to_trade(wiring, session_date)
    plan = SessionPlan(
        mode=wiring.mode,
        session=session,
        standings=wiring.standings(session.session_date),
        consent=LiveConsent(
            account=wiring.settings.live_account, confirmed_account=confirmed_account
        ),
        stop_policy=StopPolicy.LEAVE_PROTECTED if leaves_position else StopPolicy.FLATTEN,
    )
    run = SessionRun(
        plan,
        files=wiring.session_files,
        rules=wiring.rules,
        market=wiring.market,
        broker=broker_of(
            wiring, session, is_simulated=is_simulated, seconds_per_minute=seconds_per_minute
        )(),
        told=screen.note if as_json else screen.line,
    )
    try:
        with _terminated_as_interrupted(), alerts_told(wiring.outboxes()):
            result = run.run()
    except NotAuthorised as error:
        screen.fail(str(error))
        return Exit.NO
    if as_json:
        screen.json(_answer(result))
    else:
        _show(screen, result)
    return Exit.DONE


def session_to_trade(wiring: Wiring, session_date: date | None) -> Session:
    """The session of a date; without one that of today in New York, or the next."""
    rules = wiring.rules.session
    if session_date is not None:
        return session_on(session_date, rules)
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(rules.timezone)).date()
    return next_session(date.fromordinal(today.toordinal() - 1), rules)


def broker_of(
    wiring: Wiring, session: Session, *, is_simulated: bool, seconds_per_minute: float = 0.0
) -> Callable[[], LiveBroker]:
    """How to make the broker that the settings name, or the simulated one of the session."""
    if not is_simulated:
        return wiring.live_broker
    return lambda: simulated_broker(
        session,
        rules=wiring.rules,
        market=wiring.market,
        files=wiring.session_files,
        seconds_per_minute=seconds_per_minute,
    )


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the session as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _answer(result: SessionResult) -> Mapping[str, Any]:
    return {
        "session_date": result.session_date.isoformat(),
        "mode": result.mode.value,
        "ending": result.ending.value,
        "desk": result.state.kill.state.value,
        "position": result.state.position,
        "equity_usd": result.equity_usd,
        "bars": result.bars.height,
        "rejected": result.rejected.height,
        "actions": dict(result.actions),
        "reasons": dict(result.reasons),
        "exits": dict(result.exits),
        "events": result.events,
        "digest": result.digest,
        "journal": str(result.journal),
        "bars_path": str(result.bars_path),
    }


def _show(screen: Screen, result: SessionResult) -> None:
    answer = _answer(result)
    screen.say()
    for name in ("session_date", "mode", "ending", "desk", "position", "equity_usd", "bars"):
        screen.line(f"  {name.replace('_', ' '):<13} {answer[name]}")
    for name in ("actions", "reasons", "exits"):
        counts = ", ".join(f"{count} {key}" for key, count in answer[name].items())
        screen.line(f"  {name:<13} {counts or 'none'}")
    screen.line(f"  journal       {answer['journal']} ({result.events} events)")
