"""A lever for a session that is alive: given to it through its inbox, and its answer awaited.

Imports next to nothing: between a person and a flat account there should be no waiting.
"""

import time
from collections.abc import Callable
from typing import Final

from engine.errors import RetryLater
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, LeverCommand, LeverInbox
from pipelines.session.lock import holder_text, is_held

POLL_SECONDS: Final = 0.02


def ask_session(
    files: SessionFiles,
    command: LeverCommand,
    *,
    say: Callable[[str], None],
    gives_up: Callable[[], bool] = lambda: False,
) -> LeverAnswer | None:
    """The last word of the session on a command in its inbox; null when no session is alive.

    An answer that is not final is returned when the person gives up. Raises `RetryLater` when they
    do and nobody took the command: it stays in the inbox then.
    """
    inbox = LeverInbox(files.levers)
    answer: LeverAnswer | None = None
    while is_held(files):
        said = inbox.answer_to(command.id)
        if said is not None and said != answer:
            say(f"{holder_text(files)}: {said.text}")
            answer = said
        if answer is not None and answer.is_final:
            inbox.forget(command.id)
            return answer
        if gives_up():
            return answer or _never_taken(inbox, command)
        time.sleep(POLL_SECONDS)
    return _left_behind(inbox, command, answer)


def _left_behind(
    inbox: LeverInbox, command: LeverCommand, answer: LeverAnswer | None
) -> LeverAnswer | None:
    """What a session said that has ended meanwhile, if that was its last word."""
    said = inbox.answer_to(command.id) or answer
    if said is None or not said.is_final:
        return None
    inbox.forget(command.id)
    return said


def _never_taken(inbox: LeverInbox, command: LeverCommand) -> LeverAnswer:
    raise RetryLater(
        f"{command.verb} was given to the session and not taken up in time; it stays in "
        f"{inbox.folder} for the run, or for the next one"
    )
