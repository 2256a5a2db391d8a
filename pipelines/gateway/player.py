"""Plays recorded sessions to the venue: by the clock, or as fast as the clients keep up."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from engine.errors import InputRefused
from pipelines.gateway.clock import MarketClock
from pipelines.gateway.market import Audience, MarketListener, Quote, Trade
from pipelines.gateway.recording import RecordedSession, Recording
from pipelines.gateway.tape import TapeBar, five_second_bars

CATCH_UP_SECONDS_MAX: Final = 2.0
"""Wall time for which a client may hold up the market at speed "max"."""

LEAD: Final = timedelta(minutes=1)
"""Market time before the first bell at which a client finds the market."""


class Player:
    """Moves a market through some of its recorded sessions and tells a listener what happens.

    It stands a minute before the first bell until it plays. Between two sessions time jumps.
    `on_instant` is called with the open of each 5-second bar before anything is told of it.
    Raises `InputRefused` for a date that was not recorded.
    """

    def __init__(
        self,
        recording: Recording,
        clock: MarketClock,
        *,
        session_dates: Sequence[date] | None = None,
        on_instant: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        self.clock = clock
        self.sessions = _chosen(recording, session_dates)
        self.bars_told = 0
        self.times_not_kept_up = 0
        self._on_instant = on_instant
        clock.jump(self.sessions[0].session.opens_at - LEAD)

    async def play(self, listener: MarketListener, audience: Audience) -> None:
        """Play every session to its end; returns when its last report has been acted on.

        A client that is still subscribing at the first bell is waited for as well.
        """
        await self._let_act(audience)
        for recorded in self.sessions:
            self.clock.jump(recorded.session.opens_at - LEAD)
            await self._play_session(recorded, listener, audience)

    async def _play_session(
        self, recorded: RecordedSession, listener: MarketListener, audience: Audience
    ) -> None:
        quoted: tuple[int | None, int | None] | None = None
        for minute in recorded.minutes:
            for part in five_second_bars(minute):
                await self.clock.reach(part.opens_at)
                self._on_instant(part.opens_at)
                await self.clock.reach(part.closes_at)
                for trade in prints_of(part):
                    listener.on_trade(trade)
                if quoted != (part.bid_ticks, part.ask_ticks):
                    quoted = (part.bid_ticks, part.ask_ticks)
                    listener.on_quote(Quote(part.closes_at, *quoted))
                listener.on_five_second_bar(part)
                self.bars_told += 1
                await self._let_act(audience)
        await self.clock.reach(recorded.session.closes_at)
        listener.advance(recorded.session.closes_at)
        await self._let_act(audience)

    async def _let_act(self, audience: Audience) -> None:
        """At speed "max" wait for the clients; at any speed let their bytes come in."""
        if self.clock.pace.speed is None:
            is_kept = await audience.caught_up(CATCH_UP_SECONDS_MAX)
            self.times_not_kept_up += not is_kept
        await asyncio.sleep(0)


def prints_of(part: TapeBar) -> Iterator[Trade]:
    """The trades of a 5-second bar as prints: a lot at its open, the rest at its close.

    So all prints of a minute have its open, extremes, close and volume.
    """
    at_open = int(part.open_ticks != part.close_ticks and part.volume > 1)
    if at_open:
        yield Trade(part.opens_at, part.open_ticks, 1)
    if part.volume:
        yield Trade(part.closes_at, part.close_ticks, part.volume - at_open)


def _chosen(
    recording: Recording, session_dates: Sequence[date] | None
) -> tuple[RecordedSession, ...]:
    if session_dates is None:
        return recording.recorded
    by_date = {each.session.session_date: each for each in recording.recorded}
    for day in session_dates:
        if day not in by_date:
            raise InputRefused(
                f"gateway: expected bars of the session {day}, found none; "
                f"there are {min(by_date)} to {max(by_date)}"
            )
    return tuple(by_date[day] for day in sorted(set(session_dates)))
