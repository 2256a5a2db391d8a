"""A parameter sweep: every set through all sessions, on several processes, checked by replays.

The sessions are cut into as many stretches as there are processes. A set walks through the first
stretch, and through the next with what it has won and lost, while other sets follow; so a lone
trade is played in one process alone. What a set comes to is what its replay says, and some sets are
replayed to see that it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.canonical import to_json
from engine.desk import Recording
from engine.errors import InputRefused
from engine.learning.parameter_sets import ParameterSet, parameter_sets, rules_with
from engine.learning.sweep.accounts import SetOrder
from engine.learning.sweep.counters import Carried, cents_of
from engine.learning.sweep.market import loosest
from engine.rules import Rules
from engine.trade import TradeClosed
from pipelines.replay import ReplaySettings
from pipelines.stored_bars import StoredBars
from pipelines.sweep_crew import Crew, crew_of
from pipelines.sweep_stretch import Replayed, Walked

EQUITY_USD: Final = Decimal(30_000)
"""Ten years of full monthly losses, 18,000, leave the account in the highest tier: all sets are
compared under the same limits, and none is ruined on the way."""

Cents = npt.NDArray[np.int64]
Progress = Callable[[str], None]
"""Called after each set and each check, with its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """What is asked for: how many sets, drawn from a seed, and how many of them are replayed."""

    sets: int
    seed: int = 0
    checked: int = 0
    processes: int = 2
    equity_usd: Decimal = EQUITY_USD

    def __post_init__(self) -> None:
        if self.sets < 1 or not 0 <= self.checked <= self.sets:
            raise InputRefused(
                f"expected at least one set and no more checked than swept, got {self.sets} sets "
                f"and {self.checked} to check; ask for more sets or check fewer"
            )

    @property
    def replayed_as(self) -> ReplaySettings:
        """A replay under the same conditions: a person resumes a killed desk before each open."""
        return ReplaySettings(
            equity_usd=self.equity_usd, recording=Recording.TRADES, resumes_killed=True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """What a set came to. `net_cents` by session; `why_replayed` is null for a set that was not."""

    chosen: ParameterSet
    trades: int
    wins: int
    unfilled: int
    net_cents: Cents
    why_replayed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A set beside its full replay; `difference` is null where all fields of all trades agree."""

    number: int
    trades: int
    difference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Every set in order of its number, what was checked, and what it cost.

    `seconds` by the clock and `cpu_seconds` of all processes are without the checks.
    """

    session_dates: tuple[date, ...]
    bars: int
    sets: tuple[SetResult, ...]
    checked: tuple[Checked, ...]
    seconds: float
    cpu_seconds: float
    check_seconds: float
    peak_rss_mb: float


def sweep(stored: StoredBars, rules: Rules, request: SweepRequest, progress: Progress) -> Sweep:
    """Take every set through the sessions; the same arguments give the same results."""
    started, cpu_started = perf_counter(), process_time()
    sets = parameter_sets(rules, request.sets, request.seed)
    numbers = _checked_numbers(request)
    gates = loosest(rules_with(rules, each.changes) for each in sets)
    settings = request.replayed_as
    carried = Carried(equity=cents_of(request.equity_usd))
    orders = [SetOrder(each, carried, each.number in numbers) for each in sets]
    with (
        TemporaryDirectory(prefix="credence-sweep-") as name,
        crew_of(stored, rules, gates, Path(name), request.processes, settings.seed) as crew,
    ):
        ways = crew.walk(orders, progress)
        results = _results(crew, sets, ways, stored.session_dates, settings)
        seconds = perf_counter() - started
        cpu_seconds = process_time() - cpu_started + sum(crew.cpu_seconds.values())
        checked = _checked(crew, [sets[number] for number in numbers], ways, settings, progress)
        return Sweep(
            session_dates=stored.session_dates,
            bars=stored.bars.height,
            sets=tuple(results),
            checked=tuple(checked),
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            check_seconds=perf_counter() - started - seconds,
            peak_rss_mb=max(crew.rss_mb.values()),
        )


def difference(swept: Sequence[TradeClosed], replayed: Replayed) -> str | None:
    """The first trade that is not the replay's to the last field, in words; null for none."""
    for nth, (ours, theirs) in enumerate(zip(swept, replayed.trades, strict=False), start=1):
        told: Mapping[str, Any] = {"closed_at": ours.at, **json.loads(to_json(ours, without="at"))}
        if told != theirs:
            names = [name for name in theirs if told.get(name) != theirs[name]]
            return f"trade {nth} of {theirs['decision_id']} differs in {', '.join(names)}"
    if len(swept) != len(replayed.trades):
        return f"{len(swept)} trades swept, {len(replayed.trades)} replayed"
    return None


def _checked_numbers(request: SweepRequest) -> list[int]:
    """Today's rules first, and others from all over."""
    if request.checked == 0:
        return []
    others = np.random.default_rng(request.seed).permutation(np.arange(1, request.sets))
    return sorted([0, *others[: request.checked - 1].tolist()])


def _checked(
    crew: Crew,
    chosen: Sequence[ParameterSet],
    ways: Mapping[int, Sequence[Walked]],
    settings: ReplaySettings,
    progress: Progress,
) -> list[Checked]:
    found = []
    for replayed in crew.replays(chosen, settings):
        swept = [trade for way in ways[replayed.number] for trade in way.kept]
        was_refused = any(way.refused for way in ways[replayed.number])
        found.append(
            Checked(
                number=replayed.number,
                trades=len(replayed.trades),
                difference=None if was_refused else difference(swept, replayed),
            )
        )
        progress(f"set {replayed.number} replayed")
    return found


def _results(
    crew: Crew,
    sets: Sequence[ParameterSet],
    ways: Mapping[int, Sequence[Walked]],
    dates: Sequence[date],
    settings: ReplaySettings,
) -> list[SetResult]:
    """Every set in order; those that could not be told by lone trades are replayed now."""
    refused = [each for each in sets if ways[each.number][-1].refused is not None]
    again = {replayed.number: replayed for replayed in crew.replays(refused, settings)}
    return [
        _of_replay(each, again[each.number], ways[each.number], dates)
        if each.number in again
        else _of_ways(each, ways[each.number])
        for each in sets
    ]


def _of_ways(chosen: ParameterSet, ways: Sequence[Walked]) -> SetResult:
    return SetResult(
        chosen=chosen,
        trades=sum(way.trades for way in ways),
        wins=sum(way.wins for way in ways),
        unfilled=sum(way.unfilled for way in ways),
        net_cents=np.concatenate([way.net_cents for way in ways]),
    )


def _of_replay(
    chosen: ParameterSet, replayed: Replayed, ways: Sequence[Walked], dates: Sequence[date]
) -> SetResult:
    filled = [trade for trade in replayed.trades if trade["opened_at"] is not None]
    refused = ways[-1].refused
    return SetResult(
        chosen=chosen,
        trades=len(filled),
        wins=sum(Decimal(trade["net_usd"]) > 0 for trade in filled),
        unfilled=len(replayed.trades) - len(filled),
        net_cents=np.array([replayed.net_cents.get(day, 0) for day in dates], np.int64),
        why_replayed=None if refused is None else f"{refused.session_date}: {refused.text}",
    )
