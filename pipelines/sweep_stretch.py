"""One stretch of a sweep's sessions, in a process of its own: its market, and every set's way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import process_time
from typing import Any, Final, NamedTuple

import polars as pl

from engine.learning.parameter_sets import ParameterSet, rules_with
from engine.learning.sweep.accounts import Accounts, CannotSweep, SetOrder
from engine.learning.sweep.counters import Carried, Numbers, cents_of
from engine.learning.sweep.entries import Entries
from engine.learning.sweep.lone_trades import LoneTrades
from engine.learning.sweep.market import Loosest, Market, market_of
from engine.learning.sweep.tape import Tape, sessions_of
from engine.rules import Rules
from engine.trade import TradeClosed
from pipelines.collector import collector_at_rest
from pipelines.replay import ReplaySettings, exchange_seed, replay

CHUNK_SESSIONS: Final = 64
"""Sessions whose market is computed at once: the wide columns of more would not fit beside it."""

FIRST_SETS: Final = 3
SETS_AT_ONCE: Final = 100
"""Sets that walk side by side: few at first, when most trades are still to be played, so that the
next process soon has something to do; then three times as many each time, up to so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchOrder:
    """What a stretch is made from; `folder` holds its `bars` and `contexts` as Parquet."""

    folder: Path
    rules: Rules
    gates: Loosest
    minutes_before: int
    seed: int


class Walked(NamedTuple):
    """What became of a set on a stretch; `net_cents` by session.

    `refused` says why only a replay can tell; then nothing else counts.
    """

    number: int
    carried: Carried
    trades: int
    wins: int
    unfilled: int
    net_cents: Numbers
    kept: list[TradeClosed]
    refused: CannotSweep | None


class Stretch:
    """The market of some whole sessions, and the lone trades that have been played on it."""

    def __init__(self, order: StretchOrder) -> None:
        bars = pl.read_parquet(order.folder / "bars.parquet")
        contexts = pl.read_parquet(order.folder / "contexts.parquet")
        market = _market(contexts, bars, order.rules, order.gates)
        sessions = sessions_of(
            market.tape,
            dict(contexts.select("session_date", "session_minutes").iter_rows()),
            order.rules.constitution.dvs_kill_below,
            partial(exchange_seed, order.seed),
            minutes_before=order.minutes_before,
        )
        self._rules = order.rules
        self._entries = Entries(market.kept, order.rules)
        tape = Tape(market.tape)
        self._trades = LoneTrades(tape=tape, sessions=sessions, rules=order.rules)

    def walk(self, orders: Sequence[SetOrder]) -> list[Walked]:
        """Take some sets through the stretch, side by side."""
        accounts = Accounts(self._entries, self._trades, self._rules, orders)
        accounts.run()
        return [
            Walked(
                order.chosen.number,
                accounts.counters.carried(nth),
                int(accounts.trades[nth]),
                int(accounts.wins[nth]),
                int(accounts.unfilled[nth]),
                accounts.net_cents[nth],
                way.taken or [],
                way.refused,
            )
            for nth, (order, way) in enumerate(zip(orders, accounts.ways, strict=True))
        ]


def batches(orders: Sequence[SetOrder]) -> Iterator[Sequence[SetOrder]]:
    """The sets as they walk side by side, in their order."""
    first, count = 0, FIRST_SETS
    while first < len(orders):
        yield orders[first : first + count]
        first, count = first + count, min(3 * count, SETS_AT_ONCE)


def write_stretch(folder: Path, bars: pl.DataFrame, contexts: pl.DataFrame) -> None:
    """Put bars and contexts where a stretch reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    bars.write_parquet(folder / "bars.parquet", compression="lz4")
    contexts.write_parquet(folder / "contexts.parquet")


def _market(contexts: pl.DataFrame, bars: pl.DataFrame, rules: Rules, gates: Loosest) -> Market:
    """The market of every chunk, one after the other."""
    parts: list[Market] = []
    heights = bars.group_by("session_date", maintain_order=True).len()["len"].to_list()
    start = 0
    for first in range(0, len(heights), CHUNK_SESSIONS):
        height = sum(heights[first : first + CHUNK_SESSIONS])
        parts.append(market_of(contexts, bars.slice(start, height), rules, gates, start))
        start += height
    return Market(*(pl.concat(each) for each in zip(*parts, strict=True)))


# ── In a process of its own ─────────────────────────────────────────────────────────────────────


class Batch(NamedTuple):
    """What a process answers: some sets' ways, and what it has cost since it began."""

    walked: list[Walked]
    cpu_seconds: float
    rss_mb: float


class Replayed(NamedTuple):
    """A set as its full replay has it, trades as the payloads of `TradeClosed` with `closed_at`."""

    number: int
    trades: list[Mapping[str, Any]]
    net_cents: dict[date, int]


_here: list[Stretch] = []


def begin(order: StretchOrder) -> None:
    """Make this process the one of a stretch."""
    _here[:] = [Stretch(order)]


def walk_all(orders: Sequence[SetOrder]) -> Batch:
    """Take some sets through this process's stretch."""
    (stretch,) = _here
    with collector_at_rest():
        walked = stretch.walk(orders) if orders else []
    return Batch(walked, process_time(), getrusage(RUSAGE_SELF).ru_maxrss / 1_024)


def replay_set(
    folder: Path, rules: Rules, chosen: ParameterSet, settings: ReplaySettings
) -> Replayed:
    """Replay all sessions of a folder under one set, bar by bar as `credence replay` does."""
    played = replay(
        pl.read_parquet(folder / "contexts.parquet"),
        pl.read_parquet(folder / "bars.parquet"),
        rules_with(rules, chosen.changes),
        settings,
    )
    equity = [settings.equity_usd, *played.equity_usd.values()]
    gains = (cents_of(after - before) for before, after in pairwise(equity))
    net = dict(zip(played.equity_usd, gains, strict=True))
    return Replayed(chosen.number, list(played.trades), net)
