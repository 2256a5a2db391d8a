"""The live path: bars so far in, facts durable, and only then the commands to send.

Everything a live shell does in order is here; the shell adds the waiting and the sending. After a
restart it is made from the state that the journal folds to, and goes on with the next bar.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter

import polars as pl

from engine.broker import Command
from engine.decision import Decision
from engine.desk import BarClosed, Desk, DeskState, Input, Step
from engine.journal import Event, Stamp
from engine.rules import Rules
from pipelines.journal_store import JournalWriter
from pipelines.live_market import LiveMarket


class LiveStep:
    """A desk whose every step is on disk before its commands are returned.

    `contexts` holds the session's row of the context table. Raises `JournalError` when the disk
    refuses: the state is then as before, and nothing may be sent. `told` hears of every event once
    it is durable. `decided_at` has readings of `perf_counter`, by the close of the bar whose
    decision was then on disk.
    """

    def __init__(
        self,
        rules: Rules,
        contexts: pl.DataFrame,
        writer: JournalWriter,
        stamp: Stamp,
        state: DeskState,
        told: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.rules = rules
        self.state = state
        self.decisions: list[Decision] = []
        self.decided_at: dict[datetime, float] = {}
        self._desk = Desk(rules)
        self._market = LiveMarket(rules, contexts)
        self._writer = writer
        self._stamp = stamp
        self._told = told

    @property
    def wants_clock(self) -> bool:
        """Whether time alone may make something due."""
        return self._desk.wants_clock(self.state)

    def is_due(self, at: datetime) -> bool:
        """Whether a look at the clock would do anything now."""
        return self._desk.is_due(self.state, at)

    def deliver(self, happened: Input) -> tuple[Command, ...]:
        """One input: step, commit, and return the commands that may be sent now."""
        return self._commit(self._desk.step(self.state, happened))

    def close_bars(self, bars: pl.DataFrame) -> tuple[Command, ...]:
        """The session's checked bars so far: a decision for each one that has none yet.

        Usually that is the newest alone. An entry decided on a bar that is no longer fresh is
        recorded and not sent.
        """
        commands: list[Command] = []
        for row in self._market.newest(bars, after=self.state.last_bar_at):
            commands += self.deliver(BarClosed(row))
            self.decided_at[row.closes_at] = perf_counter()
        return tuple(commands)

    def prepare(self, bars: pl.DataFrame) -> None:
        """While nothing is to be done: make ready for the bar after these; asks for `close`."""
        self._market.prepare(bars)

    def wait_until_prepared(self, seconds_max: float) -> None:
        """Wait until what `prepare` began is done, or for so long."""
        self._market.wait_until_prepared(seconds_max)

    def close(self) -> None:
        """Let go of what was made ready."""
        self._market.close()

    def _commit(self, step: Step) -> tuple[Command, ...]:
        events = self._writer.append(step.entries, self._stamp) if step.entries else []
        self.state = step.state
        if step.decision is not None:
            self.decisions.append(step.decision)
        if events and self._told is not None:
            self._told(events)
        return step.commands
