"""The shell around the desk when its broker is the simulated exchange: replay and OBSERVE."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from engine.broker import (
    BrokerReport,
    Command,
    FlattenPosition,
    PlaceBracket,
    PlaceProtection,
)
from engine.decision import Action
from engine.desk import (
    BarClosed,
    ClockTicked,
    CommandFailed,
    Desk,
    DeskState,
    Input,
    QuietBar,
    Step,
)
from engine.errors import BrokerTimeout, BrokerUnreachable, HaltDesk
from engine.exchange import Exchange
from engine.journal import Entry, Kind
from engine.ladder import Reason
from engine.market import MarketRow
from engine.units import OrderRef

COMMANDS_MAX: Final = 1_000
"""Bound of what one input may set off: commands lead to reports, and reports to commands."""


class ShadowDesk:
    """A desk whose orders go to a simulated exchange; its facts pile up in `entries`.

    Without a clock nothing is asked again and nothing expires by our own hand: right for an
    exchange without faults, which answers every command at once and ends every order in time.
    """

    def __init__(
        self, desk: Desk, state: DeskState, exchange: Exchange, *, has_clock: bool = True
    ) -> None:
        self.desk = desk
        self._has_clock = has_clock
        self.state = state
        self.exchange = exchange
        self.entries: list[Entry] = []
        self.decisions: Counter[tuple[Action, Reason | None]] = Counter()
        self.closed: list[Entry] = []
        self._wants_clock: bool | None = None

    @property
    def is_idle(self) -> bool:
        """Whether a bar can reach neither the exchange nor the desk's open business."""
        if self._wants_clock is None:
            self._wants_clock = self.desk.wants_clock(self.state)
        return not self._wants_clock and self.exchange.is_idle

    def play_bar(self, row: MarketRow) -> None:
        """One closed bar: first what it did at the exchange, then the clock, then the decision."""
        if not self.is_idle:
            self.deliver(self.exchange.on_bar(row))
            if self._has_clock:
                self.deliver((ClockTicked(at=row.closes_at),))
        commands = self._book(self.desk.step_bar(self.state, row))
        if commands:
            self._settle(commands, BarClosed(row))

    @property
    def is_calm(self) -> bool:
        """Whether a run of quiet bars may be played at once."""
        return self.is_idle and self.desk.is_calm(self.state)

    def play_quiet(self, bars: Sequence[QuietBar]) -> None:
        """A run of bars that cannot reach the exchange and on which the desk can only skip."""
        self.state, entries, reasons = self.desk.step_quiet(self.state, bars)
        self.entries += entries
        for reason, count in reasons.items():
            self.decisions[Action.SKIP, reason] += count

    def deliver(self, inputs: Iterable[Input]) -> None:
        """Step through these inputs and everything that they set off at the exchange.

        Raises `HaltDesk` if that does not come to an end.
        """
        for happened in inputs:
            commands = self._step(happened)
            if commands:
                self._settle(commands, happened)

    def _step(self, happened: Input) -> tuple[Command, ...]:
        return self._book(self.desk.step(self.state, happened))

    def _book(self, step: Step) -> tuple[Command, ...]:
        self.state, entries, commands, decision = step
        self.entries += entries
        if decision is not None:
            self.decisions[decision.action, decision.reason] += 1
        if commands or decision is None:
            self._wants_clock = None
            self.closed += (entry for entry in entries if is_closed_trade(entry))
        return commands

    def _settle(self, commands: tuple[Command, ...], happened: Input) -> None:
        """Send commands and hear the answers, until no answer calls for another command."""
        waiting = deque((command, _at(happened)) for command in commands)
        sent = 0
        while waiting:
            command, at = waiting.popleft()
            sent += 1
            if sent > COMMANDS_MAX:
                raise HaltDesk(
                    f"{type(happened).__name__} at {at} led to more than {COMMANDS_MAX} commands; "
                    f"the last was {command}: a command and its answer call for each other"
                )
            for answer in self.submit(command, at):
                waiting.extend((further, _at(answer)) for further in self._step(answer))

    def submit(self, command: Command, at: datetime) -> list[BrokerReport | CommandFailed]:
        """Send one command; what surely failed comes back as an input like any other."""
        refs = refs_of(command)
        try:
            reports = self.exchange.submit(command, at)
        except BrokerUnreachable as error:
            return [CommandFailed(at=at, refs=refs, text=str(error))]
        except BrokerTimeout as error:
            return [CommandFailed(at=at, refs=(), text=str(error))]
        return [*reports]


def refs_of(command: Command) -> tuple[OrderRef, ...]:
    """Refs of the orders that a command would create."""
    match command:
        case PlaceBracket():
            return (command.entry_ref, command.stop_ref, command.target_ref)
        case PlaceProtection():
            target = () if command.target_ref is None else (command.target_ref,)
            return (command.stop_ref, *target)
        case FlattenPosition():
            return (command.ref,)
        case _:
            return ()


def is_closed_trade(entry: Entry) -> bool:
    """Whether a journal entry tells of the end of a trade."""
    return entry.kind == Kind.TRADE and entry.payload.startswith('{"fact":"TradeClosed"')


def _at(happened: Input) -> datetime:
    return happened.row.closes_at if isinstance(happened, BarClosed) else happened.at
