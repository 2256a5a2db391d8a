"""`credence halt`, `resume`, `kill`, `flatten`: a person's levers, from any shell, at any time."""

import getpass
import time
from collections.abc import Callable

from engine.modes import Mode, OperatorVerb
from pipelines.commands.exits import INTERRUPTED, Exit
from pipelines.commands.screen import Screen
from pipelines.session.asking import ask_session
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, LeverInbox, Outcome
from pipelines.settings import Settings


def run_lever(
    settings: Settings,
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
    files, gives_up = SessionFiles(home=settings.home), _patience(gives_up_after_seconds)
    command = LeverInbox(files.levers).put(verb, by=getpass.getuser(), reason=reason)
    try:
        answer = ask_session(files, command, say=say, gives_up=gives_up)
        if answer is None:
            # Nobody acts for the desk, so this process does; that takes all of the desk's code.
            from pipelines.commands.lonely_lever import desk_of
            from pipelines.session.levers import carry_through

            desk = desk_of(settings, mode, is_simulated=is_simulated)
            answer = carry_through(desk, command, say=say, gives_up=gives_up)
    except KeyboardInterrupt:
        screen.fail(
            f"stopped waiting; the {verb} is in the journal, or in the inbox for the next session. "
            "The account was NOT seen flat: credence status, and the broker's own page"
        )
        return INTERRUPTED
    return _ended(screen, verb, answer, as_json=as_json)


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
        screen.fail(f"{verb}: the broker was not seen flat; {answer.text}")
        return Exit.OUTSIDE
    if not as_json:
        screen.line(f"{verb}: {answer.text}")
    return Exit.DONE
