"""The desk and its broker in step: what happened is on disk before anything is sent for it."""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from engine.broker import (
    Command,
    LiveBroker,
    OrderEvent,
    OrderReported,
    QueryBroker,
)
from engine.desk import ClockTicked, CommandFailed, DeskState, Input
from engine.errors import BrokerTimeout, BrokerUnreachable, DuplicateOrderRef, HaltDesk
from pipelines.brokers.dispatch import carry_out, take_stock
from pipelines.live_step import LiveStep
from pipelines.shadow import COMMANDS_MAX, refs_of

CALM_TICK: Final = timedelta(seconds=5)
URGENT_TICK: Final = timedelta(milliseconds=200)
"""Between two looks at the clock while only time passes, and while something is awaited."""

READY_SECONDS_MAX: Final = 0.1
"""A computation that is not ready by then is no reason to wait: it will be made from the start."""


class Dealing:
    """Gives the desk its inputs and the broker the desk's commands, in that order.

    A command the broker did not take comes back to the desk as a fact; it is never sent again from
    here. Raises `HaltDesk` when a command and its answer call for each other without end.
    """

    def __init__(self, live: LiveStep, broker: LiveBroker) -> None:
        self.live = live
        self.broker = broker
        self._ticked_at: datetime | None = None

    @property
    def state(self) -> DeskState:
        return self.live.state

    def tell(self, *inputs: Input) -> None:
        """One input after the other, each with everything it sets off at the broker."""
        for happened in inputs:
            self._send(self.live.deliver(happened))

    def close_bars(self, bars: pl.DataFrame) -> None:
        """The session's bars so far: decide each that has no decision yet; then await the next."""
        self._send(self.live.close_bars(bars))
        self.live.prepare(bars)

    def caught_up(self) -> None:
        """Tell the broker that we keep up, once we are ready for the next bar.

        A market plays so fast as that only where it is simulated: between two bars of a real one
        lies a minute, and a bar must not be charged with what was left to do for the last.
        """
        self.live.wait_until_prepared(READY_SECONDS_MAX)
        self.broker.caught_up()

    def take_stock(self) -> None:
        """Compare our picture with the broker's; errors of the broker are raised, not booked."""
        since = self.state.unsettled_since
        for answer in take_stock(self.broker, self.broker.now(), since):
            self.tell(answer)

    def tick(self) -> None:
        """Let the desk look at the clock, if it waits for something that time may bring about."""
        now = self.broker.now()
        if not self.live.is_due(now):
            return
        pause = URGENT_TICK if _is_urgent(self.state) else CALM_TICK
        if self._ticked_at is None or now - self._ticked_at >= pause:
            self._ticked_at = now
            self.tell(ClockTicked(at=now))

    def _send(self, commands: Iterable[Command]) -> None:
        waiting = deque(commands)
        sent = 0
        while waiting:
            command = waiting.popleft()
            sent += 1
            if sent > COMMANDS_MAX:
                raise HaltDesk(
                    f"more than {COMMANDS_MAX} commands in a row, the last was {command}: "
                    "a command and its answer call for each other"
                )
            for answer in self._answers(command):
                waiting.extend(self.live.deliver(answer))

    def _answers(self, command: Command) -> Sequence[Input]:
        """Send one command; what is not known to have arrived is told as lost, for the desk to ask.

        Nothing was sent of a `BrokerUnreachable`; of the others the broker may have heard.
        """
        at, refs = self.broker.now(), refs_of(command)
        try:
            return carry_out(self.broker, command, at, self.state.unsettled_since)
        except BrokerUnreachable as error:
            return (CommandFailed(at=at, refs=refs, text=str(error)),)
        except (BrokerTimeout, DuplicateOrderRef) as error:
            if isinstance(command, QueryBroker) or not refs:
                return (CommandFailed(at=at, refs=(), text=str(error)),)
            lost, text = OrderEvent.LOST_TRACK, str(error)
            return tuple(OrderReported(at=at, ref=ref, event=lost, text=text) for ref in refs)


def _is_urgent(state: DeskState) -> bool:
    """Whether the desk waits for an answer, or for a protection that is not there yet."""
    trade = state.trade
    return (
        state.query is not None
        or state.down_since is not None
        or state.unprotected_since is not None
        or (state.kill.is_killed and not state.kill.is_flat_verified)
        or (trade is not None and trade.state != "open")
    )
