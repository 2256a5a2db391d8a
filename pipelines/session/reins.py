"""The levers of a person, as the process that acts for the desk obeys them."""

from time import monotonic
from typing import Final

from engine.desk import OperatorCommanded, OperatorVerb
from engine.errors import RetryLater
from pipelines.session.desk_process import DeskProcess
from pipelines.session.files import SessionFiles
from pipelines.session.inbox import LeverAnswer, LeverCommand, LeverInbox, Outcome

AGAIN_SECONDS: Final = 5.0
"""How often a person who waits for the broker to be flat hears that it is not."""

ASK_AGAIN_SECONDS: Final = 0.5
"""How soon the broker is asked again whether it is flat."""

_ACTS: Final = frozenset({OperatorVerb.KILL, OperatorVerb.FLATTEN})


class Reins:
    """Takes commands from the inbox and the kill file to the desk, and answers them."""

    def __init__(self, desk: DeskProcess, files: SessionFiles) -> None:
        self._desk = desk
        self._files = files
        self._inbox = LeverInbox(files.levers)
        self._awaited: list[LeverCommand] = []
        self._told_at = 0.0
        self._asked_at = float("-inf")

    def obey(self, *, but: str | None = None) -> None:
        """Every command that waits, oldest first; `but` is the one that is not for us to take."""
        if not self._desk.state.kill.is_killed and self._files.kill_file.exists():
            text = self._files.kill_file.read_text(errors="replace").strip()
            self._tell(OperatorVerb.KILL, by="the file KILL", reason=text or "the file is there")
        for command in self._inbox.waiting():
            if command.id != but:
                self.pull(command)

    def pull(self, command: LeverCommand, *, is_carried: bool = False) -> None:
        """One command through the desk; the answer says what became of it.

        One that is carried by its own giver, who waits for it, does not expire.
        """
        refusal = self._refusal(command, is_carried=is_carried)
        if refusal is None:
            refusal = self._tell(command.verb, by=command.by, reason=command.reason)
        if refusal is not None:
            self._answer(command, Outcome.REFUSED, refusal, is_final=True)
        elif command.verb in _ACTS:
            text = "on disk; waiting for the broker to be flat"
            self._answer(command, Outcome.OBEYED, text, is_final=False)
            self._awaited.append(command)
            self._told_at = monotonic()
        else:
            text = f"the desk is {self._desk.state.kill.state.value}"
            self._answer(command, Outcome.OBEYED, text, is_final=True)

    @property
    def is_waiting(self) -> bool:
        """Whether a person still waits for the broker to be flat."""
        return bool(self._awaited)

    def report(self) -> None:
        """Tell the news, and those who wait how far their command has come."""
        self._desk.tell_news()
        if not self._awaited:
            return
        if self._is_seen_flat():
            for command in self._awaited:
                self._answer(command, Outcome.FLAT, "the broker says flat", is_final=True)
            self._awaited = []
        elif monotonic() - self._told_at > AGAIN_SECONDS:
            self._told_at = monotonic()
            for command in self._awaited:
                self._answer(command, Outcome.OBEYED, self._not_yet(), is_final=False)

    def _refusal(self, command: LeverCommand, *, is_carried: bool) -> str | None:
        if command.is_expired and not is_carried:
            return f"given at {command.given_at}, too long ago; give it again"
        if command.verb is OperatorVerb.RESUME and self._files.kill_file.exists():
            return f"the file {self._files.kill_file} keeps the desk killed; remove it first"
        return None

    def _tell(self, verb: OperatorVerb, *, by: str, reason: str) -> str | None:
        """Give the command to the desk; returns the sentence it was refused with."""
        self._desk.tell_news()
        dealing = self._desk.dealing
        at = dealing.broker.now()
        dealing.tell(OperatorCommanded(at=at, verb=verb, by=by, reason=reason))
        return self._desk.tell_news()

    def _is_seen_flat(self) -> bool:
        """By a word of the broker that is newer than the command: an old one tells of the past."""
        if not self._is_believed_flat() or monotonic() - self._asked_at < ASK_AGAIN_SECONDS:
            return False
        self._asked_at = monotonic()
        try:
            self._desk.dealing.take_stock()
        except RetryLater:
            return False
        state = self._desk.state
        is_verified = not state.kill.is_killed or state.kill.is_flat_verified
        return self._is_believed_flat() and state.differs_since is None and is_verified

    def _is_believed_flat(self) -> bool:
        state = self._desk.state
        return not state.is_exposed and state.trade is None and state.down_since is None

    def _not_yet(self) -> str:
        state = self._desk.state
        if state.down_since is not None:
            return (
                "the broker cannot be reached; a stop it holds goes on protecting a position; "
                "the desk keeps trying and alerting until a person ends it"
            )
        return f"not flat yet: position {state.position}, {len(state.orders.live)} orders alive"

    def _answer(
        self, command: LeverCommand, outcome: Outcome, text: str, *, is_final: bool
    ) -> None:
        self._inbox.answer(
            LeverAnswer(id=command.id, outcome=outcome, text=text, is_final=is_final)
        )
