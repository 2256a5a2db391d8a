"""One step in the making: facts are booked as found, commands wait until all is on disk."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from engine.broker import Command, FlattenPosition, Leg, QueryBroker
from engine.decision import Decision
from engine.desk.apply import apply
from engine.desk.encoding import entry_of
from engine.desk.facts import Fact, IntentRecorded, TroubleNoted
from engine.desk.state import DeskState
from engine.execution_quality import Trouble
from engine.journal import Entry
from engine.kill import KillCause, KillEvent, change
from engine.rules import Rules
from engine.supervisor import order_ref
from engine.units import DecisionId

ASK_AGAIN: Final = timedelta(seconds=1)
"""How soon after an answer the same question may be put again, so that no two answer each other."""


def is_within(waited: timedelta, patience: timedelta) -> bool:
    """Whether something was asked so lately that an answer may still come.

    Asked in the future means that the clock has gone back, and nobody knows how long ago it was.
    """
    return timedelta(0) <= waited < patience


class Step(NamedTuple):
    """What one input leads to: commit the entries durably, then send the commands.

    `decision` is that of a closed bar; the others have none.
    """

    state: DeskState
    entries: tuple[Entry, ...]
    commands: tuple[Command, ...]
    decision: Decision | None = None


class Turn:
    """Collects the facts and commands of one input, and keeps the state current with them."""

    def __init__(self, state: DeskState, rules: Rules, at: datetime) -> None:
        self.state = state
        self.rules = rules
        self.at = at
        self.entries: list[Entry] = []
        self.commands: list[Command] = []

    def note(self, fact: Fact) -> None:
        """Book a fact."""
        self.state = apply(self.state, fact, self.rules)
        self.entries.append(entry_of(fact))

    def apply(self, fact: Fact) -> None:
        """Change the state by a fact whose record is written elsewhere."""
        self.state = apply(self.state, fact, self.rules)

    def send(self, command: Command, decision_id: DecisionId) -> None:
        """Book the intent and hand the command to the shell, which sends it after the commit."""
        self.note(IntentRecorded(at=self.at, decision_id=decision_id, command=command))
        self.commands.append(command)

    def ask(self, cause: str, *, at_once: bool = False) -> None:
        """Ask the broker for its whole truth, unless it is being asked or has just answered."""
        state, query = self.state, self.state.query
        patience = timedelta(seconds=self.rules.execution.flatten_verify_seconds)
        answered_at = state.reconciled_at
        is_waiting = query is not None and is_within(self.at - query.at, patience)
        is_fresh = answered_at is not None and is_within(self.at - answered_at, ASK_AGAIN)
        if state.down_since is None and not is_waiting and (at_once or not is_fresh):
            self.send(QueryBroker(cause=cause), DecisionId(""))

    def kill(self, cause: KillCause, text: str, *, by: str = "desk") -> None:
        """Pull the kill switch; what it calls for is done by `care`."""
        self.note(
            change(self.state.kill, KillEvent.TRIGGERED, at=self.at, cause=cause, text=text, by=by)
        )

    def flatten(self) -> None:
        """Cancel everything and close at market, under a ref that was never used."""
        session = self.state.session
        if session is None or self.state.down_since is not None:
            return
        trade = self.state.trade
        decision_id = (
            DecisionId(f"{session.symbol}-{self.at:%H%M%S}")
            if trade is None
            else trade.plan.decision_id
        )
        ref = order_ref(session.session_date, decision_id, Leg.FLATTEN, self.state.orders)
        self.send(FlattenPosition(symbol=session.symbol, ref=ref), decision_id)

    def trouble(self, kind: Trouble, text: str) -> None:
        """Book something that costs execution quality."""
        number = self.state.bar_number(self.at)
        self.note(TroubleNoted(at=self.at, trouble=kind, bar_number=number, text=text))

    def done(self, decision: Decision | None = None) -> Step:
        return Step(self.state, tuple(self.entries), tuple(self.commands), decision)
