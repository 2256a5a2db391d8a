"""`credence gateway`: the simulated IB Gateway on loopback, playing the bars of a source."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from assets.ports import BarSource
from contracts.calendar import is_session, prior_session, session_on, sessions_between
from engine.bars import check_bars
from engine.calendar import Session
from engine.errors import InstanceBusy, SourceError
from engine.rules import Rules
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.gateway.assembly import Gateway, GatewayAddress, GatewaySettings
from pipelines.gateway.chronicle import Chronicle
from pipelines.gateway.clock import Pace
from pipelines.gateway.control import LOOPBACK, ask_gateway
from pipelines.gateway.faults import GatewayPlan, load_plan
from pipelines.sources import parse_source
from pipelines.wiring import Wiring

HISTORY_SESSIONS: Final = 5
"""Sessions before the one that is played whose bars clients can ask for."""

LAST_QUESTIONS_SECONDS_MAX: Final = 30.0
"""How long clients may still ask after the last bell before the gateway ends."""


class Ports(NamedTuple):
    """Where to listen; 0 takes any free port."""

    port: int
    control_port: int


class Telling(NamedTuple):
    """Where to say what happens, and of which source."""

    screen: Screen
    source: str
    as_json: bool


def run_gateway(
    wiring: Wiring,
    source: str | None,
    session_date: date | None,
    *,
    speed: str,
    port: int,
    control_port: int,
    plan_file: Path | None,
    equity_usd: Decimal,
    stays: bool,
    as_json: bool,
) -> int:
    """Listen, play, and end with the session or with Ctrl-C; both are exit code 0.

    Raises `InstanceBusy` when a port is taken, `InputRefused` for what cannot be played.
    """
    screen = Screen.of_process()
    pace = Pace.of(speed)
    plan = GatewayPlan() if plan_file is None else load_plan(plan_file)
    bars = parse_source(source, wiring.settings.contracts) if source else wiring.source
    session = _session(bars, wiring.rules, session_date)
    frame = bars_until(bars, wiring.rules, session)
    settings = GatewaySettings(
        pace=pace, plan=plan, session_dates=(session.session_date,), equity_usd=equity_usd
    )

    asyncio.run(
        _live(
            Gateway(frame, wiring.rules, settings),
            Ports(port, control_port),
            Telling(screen, bars.name, as_json),
            stays=stays,
        )
    )
    return Exit.DONE


async def _live(gateway: Gateway, ports: Ports, telling: Telling, *, stays: bool) -> None:
    """Listen, say where, play, and end with the session or with a signal."""
    with _port_words(ports):
        address = await gateway.open(*ports)
    leaving, ending = asyncio.Event(), None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, leaving.set)
    try:
        _announce(telling, address, gateway)
        ending = None if stays else asyncio.create_task(_leave_when_over(gateway, leaving))
        await gateway.play_until(leaving)
    finally:
        if ending is not None:
            ending.cancel()
        await gateway.close()
        _say_stopped(telling)


def change_fault(
    name: str, turn: str, control_port: int, numbers: Mapping[str, float | None]
) -> int:
    """Switch a fault of a gateway that runs; raises `InputRefused` with the gateway's words."""
    given = {key: value for key, value in numbers.items() if value is not None}
    answer = ask_gateway(control_port, {"do": "fault", "fault": name, "turn": turn, **given})
    Screen.of_process().line(f"{answer['fault']} is {answer['turn']}")
    return Exit.DONE


def show_faults(control_port: int, *, as_json: bool) -> int:
    """List every fault of a gateway that runs, and which are on."""
    screen = Screen.of_process()
    answer = ask_gateway(control_port, {"do": "faults"})
    if as_json:
        screen.json(answer)
        return Exit.DONE
    rows = [
        (each["fault"], "on" if each["is_on"] else "", ", ".join(each["takes"]), each["meaning"])
        for each in answer["faults"]
    ]
    screen.table("Faults", ("name", "", "takes", "what it does"), rows)
    return Exit.DONE


def bars_until(source: BarSource, rules: Rules, session: Session) -> pl.DataFrame:
    """Bars of a session and of those before it that clients may ask for, as `bars` has them.

    Raises `SourceError` when the source has none of that session.
    """
    first = session
    for _ in range(HISTORY_SESSIONS):
        first = prior_session(first.session_date, rules.session) or first
    dates = (first.session_date, session.session_date)
    sessions = sessions_between(*dates, rules.session)
    raw = source.read(rules.instrument.symbol, *dates)
    bars = check_bars(raw, rules.instrument, sessions).bars
    if bars.filter(pl.col("session_date") == session.session_date).is_empty():
        has = source.date_range()
        raise SourceError(
            f"{source.name}: expected bars of the session {session.session_date}, found none"
            + (f"; the source has {has[0]} to {has[1]}" if has else "")
        )
    return bars


def _session(source: BarSource, rules: Rules, session_date: date | None) -> Session:
    """The session of a date, or the newest of the source, which for a generator is the last one."""
    if session_date is not None:
        return session_on(session_date, rules.session)
    has = source.date_range()
    newest = has[1] if has else datetime.now(UTC).date() - timedelta(days=1)
    if is_session(newest, rules.session):
        return session_on(newest, rules.session)
    found = prior_session(newest, rules.session)
    if found is None:
        raise SourceError(f"{source.name}: expected a session before {newest}, found none")
    return found


@contextmanager
def _port_words(ports: Ports) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InstanceBusy(
            f"expected the ports {ports.port} and {ports.control_port} of {LOOPBACK} to be free, "
            f"and one is not ({error.strerror}); stop what listens there, or choose --port and "
            "--control-port"
        ) from error


async def _leave_when_over(gateway: Gateway, leaving: asyncio.Event) -> None:
    """Leave some time after the last bell, at once when no client is left to ask anything."""
    await gateway.is_over.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_QUESTIONS_SECONDS_MAX):
            await gateway.server.wait_until_empty()
    leaving.set()


def _tell(gateway: Gateway, say: Callable[[str], None]) -> None:
    """Have everything that a person follows told from now on."""
    outbox = gateway.venue.books.outbox
    outbox.listener = Chronicle(outbox.listener, say).on_told
    gateway.server.on_clients_change = say


def _say_stopped(telling: Telling) -> None:
    """The last line, so that nobody wonders whether a port is still taken."""
    screen, _, as_json = telling
    (screen.note if as_json else screen.line)("the gateway is stopped; its ports are free")


def _announce(telling: Telling, address: GatewayAddress, gateway: Gateway) -> None:
    screen, source, as_json = telling
    _tell(gateway, screen.note if as_json else screen.line)
    sessions = [str(each.session.session_date) for each in gateway.player.sessions]
    if as_json:
        answer: dict[str, Any] = asdict(address)
        screen.json(answer | {"source": source, "sessions": sessions})
        screen.out.file.flush()
        return
    pace = gateway.clock.pace.speed
    speed = "as fast as clients keep up" if pace is None else f"{pace:g} times the clock"
    screen.line(
        f"Simulated IB Gateway at {address.host}:{address.port}, account {address.account_id}; "
        f"control port {address.control_port}"
    )
    screen.line(
        f"plays {source} of {', '.join(sessions)}, {speed}, "
        "from the first subscription to market data on; Ctrl-C stops it"
    )
