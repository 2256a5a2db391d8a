"""The word to the gateway that everything told so far has been acted on."""

from contextlib import suppress

from engine.errors import RetryLater
from pipelines.brokers.ibkr.inbox import Inbox
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.market_clock import ClockKind
from pipelines.brokers.ibkr.questions import Questions


class KeepingPace:
    """Asks for the time, which a simulated gateway takes for the word that it may go on."""

    def __init__(self, link: Link, questions: Questions, inbox: Inbox) -> None:
        self._link = link
        self._questions = questions
        self._inbox = inbox
        self._is_looking = False
        self._must_look_again = False

    async def say_caught_up(self) -> None:
        """Say it once nothing is left to be read.

        At a simulated gateway a question goes before it: what the gateway had sent meanwhile comes
        before its answer, and if that is still to be read, the reader will say again that it has
        caught up.
        """
        if self._link.settings.clock is ClockKind.LOCAL:
            self._link.ask_time()
            return
        self._must_look_again = True
        if self._is_looking:
            return
        self._is_looking = True
        try:
            while self._must_look_again:
                self._must_look_again = False
                with suppress(RetryLater):  # A gateway that does not answer does not go on either.
                    await self._questions.open_orders()
        finally:
            self._is_looking = False
        if self._inbox.is_settled:
            self._link.ask_time()
