"""The stage of the live measurements: generated sessions, and homes on which they are played."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final, Self

import polars as pl

from contracts import load_rules
from contracts.calendar import session_on
from engine.desk import Mode
from engine.market import market_frame
from engine.rules import Rules
from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings
from pipelines.measurements import BenchBars
from pipelines.session.files import SessionFiles
from pipelines.session.plan import SessionPlan
from pipelines.session.run import SessionRun
from pipelines.storage import Home, ParquetStore

HISTORY: Final = 5
"""Sessions before the first that is played."""

PATIENCE_SECONDS: Final = 300.0
"""Longer than anything that is waited for may take."""

Numbers = Mapping[str, float]
Hear = Callable[[str], None]


def to_nobody(_line: str) -> None:
    """Hear what nobody wants to know."""


@dataclass(frozen=True, slots=True)
class LiveStage:
    """Generated sessions, and homes on which the desk plays them."""

    market: BenchBars
    rules: Rules

    @classmethod
    def stored(cls, folder: Path) -> Self:
        """The market that was put into a folder."""
        return cls(BenchBars.stored(folder), load_rules())

    @property
    def dates(self) -> list[date]:
        """The sessions that can be played, oldest first."""
        return self.market.contexts["session_date"].sort().to_list()[HISTORY:]

    def first_to_enter(self) -> date:
        """The session in which the desk may enter the earliest."""
        frame = market_frame(self.market.contexts, self.market.bars, self.rules)
        may_enter = frame.filter(pl.col("may_enter") & pl.col("session_date").is_in(self.dates))
        days: list[date] = may_enter.sort("minute", "session_date")["session_date"].to_list()
        return days[0]

    def history(self, home: Path, day: date) -> ParquetStore:
        """A market store on a home, with every session before a date."""
        store = ParquetStore(home=Home(root=home))
        known = self.market.bars.filter(pl.col("session_date") < day)
        for (each,), rows in known.partition_by("session_date", as_dict=True).items():
            store.write("bars", rows, symbol=self.rules.instrument.symbol, session_date=each)
        return store

    def run(
        self, history: ParquetStore, home: Path, day: date, port: int, told: Hear = to_nobody
    ) -> SessionRun:
        """A run of one session at the gateway of a port."""
        return SessionRun(
            SessionPlan(
                mode=Mode.PAPER,
                session=session_on(day, self.rules.session),
                is_rehearsal=True,
            ),
            files=SessionFiles(home=home),
            rules=self.rules,
            market=history,
            broker=IbkrBroker(IbkrSettings(port=port, clock=ClockKind.TOLD), self.rules),
            told=told,
        )


def spread(values: Sequence[float], name: str) -> Numbers:
    """Median, 99th percentile and maximum; of fewer than a hundred the maximum is both."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    return {f"{name}_p50": median(ordered), f"{name}_p99": p99, f"{name}_max": ordered[-1]}
