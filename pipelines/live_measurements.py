"""What `credence bench --live` measures: `python -m … NAME FOLDER COUNT`, a process for each.

Session runs through `ib_insync` and real sockets at a simulated gateway that plays at full speed.
A measurement prints one JSON object of numbers, and says under what load it was taken.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final

import psutil

from contracts.calendar import session_on
from engine.broker import BarReported, PlaceBracket
from engine.desk import fact_of
from engine.desk.facts import IntentRecorded
from engine.errors import CredenceError
from engine.journal import Kind
from engine.units import DecisionId, OrderRef, Side
from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings
from pipelines.equal_work import equal_work_ms
from pipelines.heap import keep_one_heap
from pipelines.journal_store import JournalReader
from pipelines.live_stage import PATIENCE_SECONDS, LiveStage, Numbers, spread
from pipelines.live_strikes import measure_crashes, measure_kill_command, measure_kills
from pipelines.session.plan import SessionResult
from pipelines.timed_gateway import GatewayProcess, Readings, gateway_of

MINUTE: Final = timedelta(minutes=1)
FAR_TICKS: Final = 200
SETTLED_AFTER: Final = 2
"""Sessions after which a process has loaded everything it ever will."""


def measure_bars(folder: Path, sessions: int) -> Numbers:
    """Milliseconds from the gateway's write of a closed minute to its decision on disk.

    And to the entry order at the gateway, where there is one; what of it comes after the desk has
    heard the bar; seconds of a session, and processor time of a bar in the desk's process.
    """
    stage = LiveStage.stored(folder)
    durable_ms, order_ms, seconds, cpu_ms = [], [], [], []
    decision_ms: list[float] = []
    with (
        TemporaryDirectory(dir=folder) as home,
        closing(GatewayProcess(stage.market.bars)) as gateways,
    ):
        for day in stage.dates[:sessions]:
            history = stage.history(Path(home), day)
            with gateways.playing(day) as gateway:
                run = stage.run(history, Path(home), day, gateway.port)
                started, cpu_started = perf_counter(), process_time()
                result = run.run()
                seconds.append(perf_counter() - started)
                cpu_ms.append(1_000 * (process_time() - cpu_started) / result.bars.height)
                readings = gateway.read()
            durable_ms += _durable_ms(result, readings)
            decision_ms += result.decision_ms
            order_ms += _entry_ms(result, readings)
    return {
        **spread(durable_ms, "durable_ms"),
        **spread(decision_ms, "decision_ms"),
        **(spread(order_ms, "order_ms") if order_ms else {}),
        "bars": len(durable_ms),
        "orders": len(order_ms),
        "session_seconds": median(seconds),
        "cpu_ms_per_bar": median(cpu_ms),
    }


def _durable_ms(result: SessionResult, readings: Readings) -> list[float]:
    return [
        1_000 * (decided_at - readings.bar_at[closes_at])
        for closes_at, decided_at in result.decided_at.items()
    ]


def _entry_ms(result: SessionResult, readings: Readings) -> list[float]:
    """From the bar to its entry order at the gateway, of those that came there."""
    reader = JournalReader(result.journal)
    events = reader.events(session_date=result.session_date, kinds=(Kind.INTENT,))
    return [
        1_000 * (readings.order_at[fact.command.entry_ref] - readings.bar_at[fact.at])
        for fact in map(fact_of, events)
        if isinstance(fact, IntentRecorded)
        and isinstance(fact.command, PlaceBracket)
        and fact.command.entry_ref in readings.order_at
    ]


def measure_orders(folder: Path, sessions: int) -> Numbers:
    """Milliseconds from the gateway's write of a bar to a bracket that answers it at once there.

    By a client without a desk that orders on every bar, far from the market: adapter and wire
    alone, to be added to what a decision takes. The second number is from the call on.
    """
    stage = LiveStage.stored(folder)
    from_bar_ms, from_call_ms = [], []
    with closing(GatewayProcess(stage.market.bars)) as gateways:
        for day in stage.dates[:sessions]:
            with gateways.playing(day) as gateway:
                called_at = _order_on_every_bar(stage, day, gateway.port)
                readings = gateway.read()
            for closes_at, (ref, at) in called_at.items():
                from_bar_ms.append(1_000 * (readings.order_at[ref] - readings.bar_at[closes_at]))
                from_call_ms.append(1_000 * (readings.order_at[ref] - at))
    return {**spread(from_bar_ms, "echo_ms"), **spread(from_call_ms, "send_ms")}


def _order_on_every_bar(
    stage: LiveStage, day: date, port: int
) -> Mapping[datetime, tuple[OrderRef, float]]:
    """Entry ref and instant of the call, by the close of the bar that is answered."""
    called_at: dict[datetime, tuple[OrderRef, float]] = {}
    instrument, session = stage.rules.instrument, session_on(day, stage.rules.session)
    with closing(IbkrBroker(IbkrSettings(port=port, clock=ClockKind.TOLD), stage.rules)) as broker:
        broker.connect()
        broker.subscribe(instrument.symbol)
        broker.caught_up()
        while session.closes_at not in called_at:
            if not broker.wait(PATIENCE_SECONDS):
                raise CredenceError(f"expected the bars of {day} to go on, none came")
            for report in broker.told():
                if isinstance(report, BarReported):
                    closes_at = report.opens_at + MINUTE
                    intent = _far_bracket(stage, report, len(called_at))
                    called_at[closes_at] = intent.entry_ref, perf_counter()
                    broker.place_bracket(intent)
            broker.caught_up()
    return called_at


def _far_bracket(stage: LiveStage, bar: BarReported, number: int) -> PlaceBracket:
    close_ticks = stage.rules.instrument.to_ticks(Decimal(str(bar.close)))
    entry, stop, target = (OrderRef(f"bench-{number}-{leg}") for leg in ("E", "S", "T"))
    return PlaceBracket(
        decision_id=DecisionId(f"bench-{number}"),
        symbol=bar.symbol,
        side=Side.LONG,
        quantity=1,
        entry_ref=entry,
        stop_ref=stop,
        target_ref=target,
        entry_limit_ticks=close_ticks - FAR_TICKS,
        stop_ticks=close_ticks - 2 * FAR_TICKS,
        target_ticks=close_ticks + FAR_TICKS,
        entry_expires_at=bar.opens_at + 2 * MINUTE,
    )


def measure_memory(folder: Path, sessions: int) -> Numbers:
    """By how many percent the memory of one process, gateway and desk, strays over its sessions.

    From what it was after the second one, when everything is loaded. The newest are played: behind
    them are as many as a context ever reads, which would otherwise grow from day to day.
    """
    stage, megabytes = LiveStage.stored(folder), []
    with TemporaryDirectory(dir=folder) as home:
        for day in stage.dates[-sessions:]:
            history = stage.history(Path(home), day)
            with gateway_of(stage.market.bars, (day,), stage.rules) as gateway:
                stage.run(history, Path(home), day, gateway.address.port).run()
            megabytes.append(psutil.Process().memory_info().rss / 2**20)
    first, *later = megabytes[SETTLED_AFTER - 1 :]
    strays = [100 * abs(each / first - 1) for each in later]
    return {
        "strays_percent": max(strays, default=0.0),
        "first_mb": first,
        **{f"mb_after_{number}": each for number, each in enumerate(megabytes, 1)},
    }


def measure_equal_work(_folder: Path, pieces: int) -> Numbers:
    """Milliseconds of equal pieces of work, which only the machine itself makes uneven."""
    return spread(equal_work_ms(pieces), "piece_ms")


MEASUREMENTS: Final[Mapping[str, Callable[[Path, int], Numbers]]] = {
    "equal_work": measure_equal_work,
    "bars": measure_bars,
    "orders": measure_orders,
    "kills": measure_kills,
    "kill_command": measure_kill_command,
    "crashes": measure_crashes,
    "memory": measure_memory,
}


def main(name: str, folder: Path, count: int) -> None:
    """Run one measurement and print its numbers and the load of its last minute."""
    keep_one_heap()
    numbers = MEASUREMENTS[name](folder, count)
    sys.stdout.write(json.dumps({**numbers, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
