"""One stretch of a sweep's sessions, in a process of its own: its market, and every set's way."""

from collections.abc import Mapping, Sequence
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
from engine.learning.sweep.account import Account, CannotSweep
from engine.learning.sweep.counters import Carried, Counters, cents_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchOrder:
    """What a stretch is made from; `folder` holds its `bars` and `contexts` as Parquet."""

    folder: Path
    rules: Rules
    gates: Loosest
    minutes_before: int
    seed: int


class SetOrder(NamedTuple):
    """A set and where it stands; `keeps` asks for its trades and not only for their sums."""

    chosen: ParameterSet
    carried: Carried
    keeps: bool


class Walked(NamedTuple):
    """What became of a set on a stretch. `net_cents` holds the sessions with a trade.

    `refused` says why only a replay can tell; then nothing else counts.
    """

    number: int
    carried: Carried
    trades: int
    wins: int
    unfilled: int
    net_cents: dict[date, int]
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

    def walk(self, order: SetOrder) -> Walked:
        """Take one set through the stretch."""
        rules = rules_with(self._rules, order.chosen.changes)
        counters = Counters(order.carried, rules)
        account = Account(self._entries.under(order.chosen), self._trades, rules, counters)
        refused = account.run()
        filled = [(day, trade) for day, trade in account.taken if trade.opened_at is not None]
        net: dict[date, int] = {}
        for day, trade in filled:
            net[day] = net.get(day, 0) + int(trade.net_usd * 100)
        return Walked(
            order.chosen.number,
            counters.carried,
            len(filled),
            sum(trade.net_usd > 0 for _, trade in filled),
            len(account.taken) - len(filled),
            net,
            [trade for _, trade in account.taken] if order.keeps else [],
            refused,
        )


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
        walked = [stretch.walk(order) for order in orders]
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
