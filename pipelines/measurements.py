"""What `credence bench` measures, each run in a process of its own: `python -m … NAME FOLDER`.

A measurement prints one JSON object of numbers. Those named in `ONE_CORE` pin themselves to one
processor; the parent gives them one Polars thread.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final, Self

import polars as pl

from contracts import load_rules
from engine.calendar import Session
from engine.context import session_contexts, session_summaries
from engine.desk import EMPTY, BarClosed, Desk, DeskState, Mode, Recording, SessionOpened
from engine.generator import generate_bars
from engine.journal import REPLAY_CODE, Stamp
from engine.market import market_frame
from engine.rules import Rules
from pipelines.collector import collector_at_rest, tidy_up
from pipelines.equal_work import equal_work_ms
from pipelines.journal_files import write_fresh_journal
from pipelines.journal_store import JournalWriter
from pipelines.live_market import LiveMarket
from pipelines.replay import ReplaySettings, replay

SEED: Final = 7
EQUITY_USD: Final = Decimal(10_000)
FRAME_CALLS: Final = 3
LIVE_STEPS_MAX: Final = 300
DIGEST_SESSIONS: Final = 20
GENERATED_AT_ONCE: Final = 64

Numbers = Mapping[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchBars:
    """Generated bars with the contexts of their sessions, kept in a folder of two files."""

    bars: pl.DataFrame
    contexts: pl.DataFrame

    @classmethod
    def generated(cls, sessions: list[Session], rules: Rules) -> Self:
        """A market of these sessions; the same for the same sessions."""
        parts = [
            generate_bars(sessions[at : at + GENERATED_AT_ONCE], SEED, rules.instrument).bars
            for at in range(0, len(sessions), GENERATED_AT_ONCE)
        ]
        bars = pl.concat(parts)
        return cls(
            bars=bars, contexts=session_contexts(session_summaries(bars, rules), sessions, rules)
        )

    @classmethod
    def stored(cls, folder: Path) -> Self:
        """What `store` put into a folder."""
        return cls(
            bars=pl.read_parquet(folder / "bars.parquet"),
            contexts=pl.read_parquet(folder / "contexts.parquet"),
        )

    def store(self, folder: Path) -> None:
        """Write both frames into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.bars.write_parquet(folder / "bars.parquet")
        self.contexts.write_parquet(folder / "contexts.parquet")

    def first(self, sessions: int) -> "BenchBars":
        """The first sessions alone."""
        dates = self.contexts["session_date"].head(sessions).implode()
        chosen = pl.col("session_date").is_in(dates)
        return BenchBars(bars=self.bars.filter(chosen), contexts=self.contexts.filter(chosen))


def measure_market_frame(folder: Path) -> Numbers:
    """Bars a second through quality, signals, beliefs and candidates, expressions already built."""
    rules, market = load_rules(), BenchBars.stored(folder)
    few = market.first(2)
    market_frame(few.contexts, few.bars, rules)
    seconds = []
    for _ in range(FRAME_CALLS):
        started = perf_counter()
        market_frame(market.contexts, market.bars, rules)
        seconds.append(perf_counter() - started)
    return {"bars_per_second": market.bars.height / median(seconds)}


def measure_replay_full(folder: Path) -> Numbers:
    """Bars a second of a replay that journals every bar and every decision to disk."""
    return _replayed(folder, Recording.FULL)


def measure_replay_trades(folder: Path) -> Numbers:
    """Bars a second of a replay that journals trades alone, and the most memory it took."""
    return _replayed(folder, Recording.TRADES)


def measure_live_step(folder: Path) -> Numbers:
    """Milliseconds from the last bar of a session to its decision, durable on disk.

    What needs no bar is prepared before it closes, as the session's loop does between two bars.
    """
    rules, market = load_rules(), BenchBars.stored(folder)
    dates = market.contexts["session_date"].to_list()[:LIVE_STEPS_MAX]
    desk, laps = Desk(rules), []
    with (
        TemporaryDirectory(dir=folder) as scratch,
        JournalWriter(Path(scratch) / "live.sqlite") as journal,
        LiveMarket(rules, market.contexts) as live,
        collector_at_rest(),
    ):
        for day in dates:
            bars = market.bars.filter(pl.col("session_date") == day)
            state = desk.step(EMPTY, _opened(bars, day)).state
            live.prepare(bars.head(bars.height - 1))
            live.wait_until_prepared()
            tidy_up()
            laps.append(_live_step(desk, state, journal, live, bars))
    parts = [median(part) for part in zip(*laps, strict=True)]
    whole = [sum(lap) for lap in laps]
    return {
        "ms_p50": median(whole),
        "ms_p99": quantiles(whole, n=100)[98],
        **dict(zip(("columns_ms_p50", "decision_ms_p50", "commit_ms_p50"), parts, strict=True)),
    }


def measure_equal_work(_folder: Path) -> Numbers:
    """Milliseconds of equal pieces of work, as many as there are live steps."""
    pieces = equal_work_ms(LIVE_STEPS_MAX)
    return {"ms_p50": median(pieces), "ms_p99": quantiles(pieces, n=100)[98]}


def measure_digest(folder: Path) -> Numbers:
    """The digest of one replay, to be compared between processes."""
    market = BenchBars.stored(folder).first(DIGEST_SESSIONS)
    settings = ReplaySettings(equity_usd=EQUITY_USD)
    return {"digest": replay(market.contexts, market.bars, load_rules(), settings).digest}


def _replayed(folder: Path, recording: Recording) -> Numbers:
    rules, market = load_rules(), BenchBars.stored(folder)
    settings = ReplaySettings(equity_usd=EQUITY_USD, recording=recording)
    with TemporaryDirectory(dir=folder) as scratch:
        started = perf_counter()
        write_fresh_journal(
            Path(scratch) / "replay.sqlite",
            Path(scratch) / "aside",
            lambda sink: replay(market.contexts, market.bars, rules, settings, sink=sink),
        )
        seconds = perf_counter() - started
    return {
        "bars_per_second": market.bars.height / seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


def _live_step(
    desk: Desk, state: DeskState, journal: JournalWriter, live: LiveMarket, bars: pl.DataFrame
) -> tuple[float, float, float]:
    """What the live loop does once a bar has closed, in milliseconds each: columns with their text,
    step, durable commit.
    """
    started = perf_counter()
    (row,) = live.newest(bars, after=bars["closes_at"][-2])
    known = perf_counter()
    step = desk.step(state, BarClosed(row))
    decided = perf_counter()
    journal.append(step.entries, Stamp(row.session_date, desk.rules.contracts_hash, REPLAY_CODE))
    durable = perf_counter()
    return 1_000 * (known - started), 1_000 * (decided - known), 1_000 * (durable - decided)


def _opened(bars: pl.DataFrame, day: date) -> SessionOpened:
    opens_at, closes_at = bars["opens_at"][0], bars["closes_at"][-1]
    return SessionOpened(
        at=opens_at,
        session_date=day,
        symbol=bars["symbol"][0],
        opens_at=opens_at,
        closes_at=closes_at,
        mode=Mode.OBSERVE,
        standings={},
    )


MEASUREMENTS: Final[Mapping[str, Callable[[Path], Numbers]]] = {
    "market_frame": measure_market_frame,
    "replay_full": measure_replay_full,
    "replay_trades": measure_replay_trades,
    "live_step": measure_live_step,
    "equal_work": measure_equal_work,
    "digest": measure_digest,
}

ONE_CORE: Final = frozenset({"replay_full"})
"""Measurements of what one processor does."""


def main(name: str, folder: Path) -> None:
    """Run one measurement and print its numbers."""
    if name in ONE_CORE:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.stdout.write(json.dumps(MEASUREMENTS[name](folder)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
