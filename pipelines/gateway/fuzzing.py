"""Hostile bytes against a gateway while an honest client is served: `run_fuzz`.

`python -m pipelines.gateway.fuzzing --frames 100000` runs it by hand; the exit code is 1 when the
gateway did worse than it must.
"""

import asyncio
import gc
import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from random import Random
from time import monotonic
from typing import Final

import psutil

from contracts import load_rules
from contracts.calendar import session_on
from engine.bars import check_bars
from engine.errors import BrokerTimeout
from pipelines.gateway.assembly import Gateway, GatewaySettings
from pipelines.gateway.control import LOOPBACK
from pipelines.gateway.hostile import CONTRACT, FUZZED_ON, Hostile, hostile_frames, hostile_hello
from pipelines.gateway.run import running_gateway
from pipelines.gateway.tape import FIVE_SECONDS
from pipelines.gateway.wire import framed
from pipelines.gateway.wire_client import WireClient
from pipelines.sources import parse_source

FRAMES_PER_LINK: Final = 250
FRAMES_PER_DRAIN: Final = 20
ABORTED_SHARE: Final = 0.2
ANSWER_SECONDS_MAX: Final = 15.0
WITNESS_ID: Final = 1_000
MEGABYTES_MAX: Final = 40.0

WireBar = tuple[float, ...]
"""A 5-second bar as the wire told it: seconds since 1970, prices, volume and count."""


@dataclass(slots=True)
class Witness:
    """An honest client: it writes down its 5-second bars and asks whether it is still served."""

    client: WireClient
    answer_seconds_max: float
    bars: list[WireBar] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    slowest_answer_seconds: float = 0.0

    @classmethod
    async def take_place(cls, port: int, answer_seconds_max: float) -> "Witness":
        client = await WireClient.greet(port, "157..176")
        try:
            async with asyncio.timeout(answer_seconds_max):
                await client.frame()
                client.send(71, 2, WITNESS_ID, "")
                await client.frame_of("9")
        except TimeoutError as error:
            await client.close()
            raise BrokerTimeout(
                f"expected the gateway to greet a client within {answer_seconds_max:g} s"
            ) from error
        witness = cls(client, answer_seconds_max)
        await witness.is_served()
        client.send(50, 3, 1, *CONTRACT, 5, "TRADES", 0, "")
        return witness

    async def is_served(self) -> None:
        """Ask for the time and read up to the answer; raises `BrokerTimeout` without one."""
        asked_at = monotonic()
        self.client.send(49, 1)
        try:
            async with asyncio.timeout(self.answer_seconds_max):
                await self._read_to_the_time()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise BrokerTimeout(
                f"expected the time within {self.answer_seconds_max:g} s, got {error!r}: "
                "hostile bytes of another client reached this one"
            ) from error
        self.slowest_answer_seconds = max(self.slowest_answer_seconds, monotonic() - asked_at)

    async def _read_to_the_time(self) -> None:
        while True:
            fields = await self.client.frame()
            if fields[0] == "49":
                return
            if fields[0] == "50":
                self.bars.append(tuple(float(each) for each in (*fields[3:9], fields[10])))
            elif fields[0] == "4" and fields[2] != "-1":
                self.errors.append(" ".join(fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzReport:
    """What hostile bytes came to; `bars` are those of the witness."""

    frames: int
    links: int
    cut_by_gateway: int
    seconds: float
    slowest_answer_seconds: float
    witness_errors: tuple[str, ...]
    bars: tuple[WireBar, ...]


async def fuzz(
    port: int, frames: int, seed: int, *, answer_seconds_max: float = ANSWER_SECONDS_MAX
) -> FuzzReport:
    """Send so many hostile frames over as many links as it takes.

    After each link the witness has to be answered; raises `BrokerTimeout` when it is not, or when
    the gateway does not let a link go that has ended.
    """
    random = Random(seed)
    source = hostile_frames(random)
    witness = await Witness.take_place(port, answer_seconds_max)
    started_at, sent, links, cut = monotonic(), 0, 0, 0
    while sent < frames:
        attack = islice(source, min(FRAMES_PER_LINK, frames - sent))
        written, was_cut = await _attack(port, attack, random)
        sent, links, cut = sent + written, links + 1, cut + was_cut
        await witness.is_served()
    await witness.client.close()
    return FuzzReport(
        frames=sent,
        links=links,
        cut_by_gateway=cut,
        seconds=monotonic() - started_at,
        slowest_answer_seconds=witness.slowest_answer_seconds,
        witness_errors=tuple(witness.errors),
        bars=tuple(witness.bars),
    )


async def _attack(port: int, attack: Iterable[Hostile], random: Random) -> tuple[int, bool]:
    """Frames written over one link, and whether the gateway closed it first."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    swallowing = asyncio.create_task(_swallow(reader))
    writer.write(hostile_hello(random))
    writer.write(framed(71, 2, random.choice((1, 2, WITNESS_ID)), ""))
    written = 0
    try:
        for hostile in attack:
            writer.write(hostile.bytes)
            written += 1
            if written % FRAMES_PER_DRAIN == 0:
                await writer.drain()
            if hostile.ends_framing or swallowing.done():
                break
        was_cut = await _part(writer, swallowing, random)
    except OSError:  # The gateway has closed; the system says so in several ways.
        was_cut = True
    finally:
        writer.transport.abort()
        swallowing.cancel()
    return written, was_cut


async def _part(
    writer: asyncio.StreamWriter, swallowing: asyncio.Task[None], random: Random
) -> bool:
    """Leave without a word, or say so and see that the gateway lets go; whether it did first."""
    await asyncio.sleep(0)
    if swallowing.done() or random.random() < ABORTED_SHARE:
        return swallowing.done()
    writer.write_eof()
    ended, _ = await asyncio.wait([swallowing], timeout=ANSWER_SECONDS_MAX)
    if not ended:
        raise BrokerTimeout(
            f"expected the gateway to close a link within {ANSWER_SECONDS_MAX:.0f} s of its end"
        )
    return False


async def _swallow(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65_536):
            pass


# ── A gateway to be fuzzed, and what it must come out with ───────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzFindings:
    """A gateway after hostile bytes, beside what it was before."""

    report: FuzzReport
    bars_of_the_tape: tuple[WireBar, ...]
    tasks_before: int
    tasks_after: int
    clients_after: int
    megabytes_grown: float


def fuzz_gateway(frames: int, seed: int) -> FuzzFindings:
    """Fuzz a gateway of this process, which plays a generated session meanwhile.

    A tenth of the frames go first, so that what is built up once does not count as a leak.
    """
    rules, day = load_rules("MES"), FUZZED_ON
    raw = parse_source(f"generator:{seed}").read("MES", day, day)
    bars = check_bars(raw, rules.instrument, [session_on(day, rules.session)]).bars
    with running_gateway(bars, rules, GatewaySettings()) as gateway:
        asyncio.run(fuzz(gateway.address.port, frames // 10, seed + 1))
        gateway.wait_until_empty(ANSWER_SECONDS_MAX)
        tasks_before, bytes_before = gateway.call(_tasks), _resident_bytes()
        report = asyncio.run(fuzz(gateway.address.port, frames, seed))
        gateway.wait_until_empty(ANSWER_SECONDS_MAX)
        return FuzzFindings(
            report=report,
            bars_of_the_tape=gateway.call(lambda running: _tape_of(running, report.bars)),
            tasks_before=tasks_before,
            tasks_after=gateway.call(_tasks),
            clients_after=len(gateway.status()["clients"]),
            megabytes_grown=(_resident_bytes() - bytes_before) / 2**20,
        )


def verdict(found: FuzzFindings) -> list[str]:
    """What the gateway did worse than it must, in words; empty when it did nothing."""
    report = found.report
    judged = {
        f"{report.frames} frames sent": report.frames > 0,
        f"the witness was told errors: {report.witness_errors[:3]}": not report.witness_errors,
        "the witness was told no bars": len(report.bars) > 0,
        "the witness's bars are not those of the tape": report.bars == found.bars_of_the_tape,
        f"{found.clients_after} clients are still connected": found.clients_after == 0,
        f"tasks grew from {found.tasks_before} to {found.tasks_after}": (
            found.tasks_after <= found.tasks_before
        ),
        f"memory grew by {found.megabytes_grown:.1f} MB": found.megabytes_grown < MEGABYTES_MAX,
    }
    return [words for words, is_well in judged.items() if not is_well]


def _tasks(_: Gateway) -> int:
    return len(asyncio.all_tasks())


def _tape_of(gateway: Gateway, bars: Sequence[WireBar]) -> tuple[WireBar, ...]:
    """The tape over the span of some bars."""
    if not bars:
        return ()
    since, until = (datetime.fromtimestamp(bars[end][0], UTC) for end in (0, -1))
    to_points = gateway.recording.instrument.to_points
    return tuple(
        (
            part.opens_at.timestamp(),
            float(to_points(part.open_ticks)),
            float(to_points(part.high_ticks)),
            float(to_points(part.low_ticks)),
            float(to_points(part.close_ticks)),
            float(part.volume),
            float(part.trades or 0),
        )
        for part in gateway.recording.five_seconds(since, until + FIVE_SECONDS)
    )


def _resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def main() -> int:
    """Print what was found as one JSON object; 1 when something is wrong."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    found = fuzz_gateway(chosen.frames, chosen.seed)
    wrong = verdict(found)
    report = {**asdict(found.report), "bars": len(found.report.bars)}
    answer = {**asdict(found), "report": report, "bars_of_the_tape": len(found.bars_of_the_tape)}
    print(json.dumps({"wrong": wrong, **answer}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
