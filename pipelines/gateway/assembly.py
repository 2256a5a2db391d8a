"""One whole gateway, put together: market, player, venue, server, faults and control port."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from engine.exchange import exchange_settings
from engine.rules import Rules
from pipelines.gateway.clock import MarketClock, Pace
from pipelines.gateway.control import LOOPBACK, ControlPort
from pipelines.gateway.faults import FAULTS, FaultChange, GatewayPlan, read_change
from pipelines.gateway.market import Switches
from pipelines.gateway.misfortune import Misfortune
from pipelines.gateway.player import Player
from pipelines.gateway.recording import Recording, recorded_sessions
from pipelines.gateway.server import GatewayServer
from pipelines.gateway.venue import ACCOUNT_ID, Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What is played and how; `session_dates` null plays every session of the bars.

    `waits_for_subscriber`: the first bell is held back until a client subscribes to market data.
    """

    pace: Pace = field(default_factory=lambda: Pace(speed=None))
    session_dates: tuple[date, ...] | None = None
    equity_usd: Decimal = Decimal(10_000)
    account_id: str = ACCOUNT_ID
    plan: GatewayPlan = field(default_factory=GatewayPlan)
    waits_for_subscriber: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAddress:
    """Where a gateway listens, and whose account it keeps."""

    port: int
    control_port: int
    account_id: str
    host: str = LOOPBACK


class Gateway:
    """Market, venue, server, faults and control port of one simulated IB Gateway.

    To be used inside one event loop. `bars` has the columns of `bars`; sessions that are not played
    are history. Raises `InputRefused` for bars or dates that cannot be played.
    """

    def __init__(self, bars: pl.DataFrame, rules: Rules, settings: GatewaySettings) -> None:
        sessions = recorded_sessions(bars, rules)
        self.settings = settings
        self.clock = MarketClock(sessions[0].session.opens_at, settings.pace)
        self.recording = Recording(sessions, rules, self.clock)
        self.player = Player(
            self.recording,
            self.clock,
            session_dates=settings.session_dates,
            on_instant=self._carry_out_plan,
        )
        self.venue = Venue(
            self.recording,
            exchange_settings(rules, settings.equity_usd, bar_seconds=5),
            Switches(),
            account_id=settings.account_id,
            seed=settings.plan.seed,
        )
        self.server = GatewayServer(self.venue)
        self.misfortune = Misfortune(self.venue, self.server)
        self.is_over = asyncio.Event()
        self._planned = settings.plan.by_instant([s.session for s in self.player.sessions])
        self._control = ControlPort(
            {
                "status": lambda _: self.status(),
                "faults": lambda _: {"faults": self.faults()},
                "fault": self._ask_fault,
                "start": lambda _: self._done(self.server.subscribed.set),
                "pause": lambda _: self._done(self.clock.pause),
                "go": lambda _: self._done(self.clock.go_on),
            }
        )

    async def open(self, port: int = 0, control_port: int = 0) -> GatewayAddress:
        """Listen on both ports, any free ones for 0; raises `OSError` when one is taken."""
        bound = await self.server.open(port)
        try:
            control = await self._control.open(control_port)
        except OSError:
            await self.server.close()
            raise
        return GatewayAddress(port=bound, control_port=control, account_id=self.settings.account_id)

    async def play_until(self, leaving: asyncio.Event) -> None:
        """Play to the end of the last session, and then serve until `leaving` is set.

        Raises at once what the player raises.
        """
        playing = asyncio.create_task(self._play())
        left = asyncio.create_task(leaving.wait())
        try:
            await asyncio.wait((playing, left), return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
            await left
        finally:
            playing.cancel()
            left.cancel()
            await asyncio.wait((playing, left))

    async def _play(self) -> None:
        if self.settings.waits_for_subscriber:
            await self.server.subscribed.wait()
        await self.player.play(self.venue, self.server)
        self.is_over.set()

    async def close(self) -> None:
        """Let every client go and stop listening."""
        await self.server.close()
        await self._control.close()

    def change(self, change: FaultChange) -> None:
        """Switch a fault now."""
        self.misfortune.change(change)

    def status(self) -> Mapping[str, Any]:
        """What a person asks first, as plain JSON values; instants are UTC."""
        sessions = [each.session.session_date.isoformat() for each in self.player.sessions]
        return {
            "account": self.settings.account_id,
            "sessions": sessions,
            "now": self.clock.now().isoformat(),
            "is_started": self.player.bars_told > 0,
            "is_paused": self.clock.is_paused,
            "is_over": self.is_over.is_set(),
            "bars_told": self.player.bars_told,
            "times_not_kept_up": self.player.times_not_kept_up,
            "clients": self.server.client_ids,
            "position": self.venue.books.holding.quantity,
            "working_orders": len(self.venue.books.working),
            "executions": len(self.venue.books.fills),
            "faults_on": [fault.value for fault in self.misfortune.on],
        }

    def faults(self) -> list[Mapping[str, Any]]:
        """Every fault by name: what it does, the numbers it takes, and whether it is on."""
        return [
            {
                "fault": fault.value,
                "meaning": known.meaning,
                "takes": list(known.takes),
                "is_once": known.is_once,
                "is_on": fault in self.misfortune.on,
            }
            for fault, known in FAULTS.items()
        ]

    def _ask_fault(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        change = read_change(request, "fault")
        self.change(change)
        return {"fault": change.fault.value, "turn": "on" if change.is_on else "off"}

    def _done(self, action: Callable[[], None]) -> Mapping[str, Any]:
        action()
        return self.status()

    def _carry_out_plan(self, at: datetime) -> None:
        for change in self._planned.get(at, ()):
            self.change(change)
