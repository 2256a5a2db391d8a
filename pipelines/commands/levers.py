"""`credence halt`, `resume`, `kill`, `flatten`: a person's levers, from any shell, at any time."""

import getpass
import time
from collections.abc import Callable

from engine.calendar import Session
from engine.desk import Mode, OperatorVerb
from pipelines.commands.exits import INTERRUPTED, Exit
from pipelines.commands.screen import Screen
from pipelines.commands.session import broker_of, session_to_trade
from pipelines.session.desk_process import latest_session, newest_mode
from pipelines.session.inbox import LeverAnswer, Outcome
from pipelines.session.levers import LeverDesk, pull_lever
from pipelines.session.lock import held_mode
from pipelines.wiring import Wiring


def run_lever(
    wiring: Wiring,
    verb: OperatorVerb,
    *,
    mode: Mode | None,
    reason: str,
    gives_up_after_seconds: float | None,
    is_simulated: bool,
    as_json: bool,
) -> int:
    """Pull one lever and wait for what comes of it.

    Without a mode the lever is that of the session that lives, or else of the one that was last.

    0 when it was obeyed, and for a kill or flatten the broker says flat; 1 when it was refused; 3
    when the broker was not seen flat before the person, or the patience given, came to an end.
    """
    screen = Screen.of_process()
    say = screen.note if as_json else screen.line
    files, symbol = wiring.session_files, wiring.settings.symbol
    mode = mode or held_mode(files) or newest_mode(files, symbol) or wiring.mode
    wiring = Wiring(settings=wiring.settings.model_copy(update={"mode": mode.value}))
    session = _session(wiring, mode)
    desk = LeverDesk(
        files=files,
        rules=wiring.rules,
        mode=mode,
        session=session,
        broker=broker_of(wiring, session, is_simulated=is_simulated),
        live_account=wiring.settings.live_account,
    )
    try:
        answer = pull_lever(
            desk,
            verb,
            by=getpass.getuser(),
            reason=reason,
            say=say,
            gives_up=_patience(gives_up_after_seconds),
        )
    except KeyboardInterrupt:
        screen.fail(
            f"stopped waiting; the {verb} is in the journal or on its way to the session. "
            "Whether the account is flat was not seen: credence status, and the broker's own page"
        )
        return INTERRUPTED
    return _ended(screen, verb, answer, as_json=as_json)


def _session(wiring: Wiring, mode: Mode) -> Session:
    """The session the journal was last in; else the one a session run would trade now."""
    day = latest_session(wiring.session_files, mode, wiring.settings.symbol)
    return session_to_trade(wiring, day)


def _patience(seconds: float | None) -> Callable[[], bool]:
    if seconds is None:
        return lambda: False
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


def _ended(screen: Screen, verb: OperatorVerb, answer: LeverAnswer, *, as_json: bool) -> int:
    if as_json:
        screen.json(
            {
                "verb": verb.value,
                "outcome": answer.outcome.value,
                "is_final": answer.is_final,
                "text": answer.text,
            }
        )
    if answer.outcome is Outcome.REFUSED:
        screen.fail(f"{verb} refused: {answer.text}")
        return Exit.NO
    if not answer.is_final:
        screen.fail(f"{verb}: gave up waiting; {answer.text}")
        return Exit.OUTSIDE
    if not as_json:
        screen.line(f"{verb}: {answer.text}")
    return Exit.DONE
