"""Everything `credence bench --against` measures: who is faster, and whose trades are the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.exchange import Exchange, exchange_settings
from engine.rules import Rules
from pipelines.measurements import BenchBars
from pipelines.stopwatch.comparison import Comparison, Conventions, Prices, compare
from pipelines.stopwatch.engines import OWN, ForeignEngine
from pipelines.stopwatch.environments import Unusable, environment_of
from pipelines.stopwatch.own_rule import DEPOSIT_USD, plain_exchange, play_rule
from pipelines.stopwatch.race import Entrant, bars_per_second, own_command, run_once
from pipelines.stopwatch.rule import (
    BARS_FILE,
    BUSY,
    CALM,
    TIGHT,
    Fills,
    RaceRule,
    rule_bars,
    write_bars,
    write_rule,
)
from pipelines.stopwatch.trades import RuleTrade, trades_of

FIRST_DATE: Final = date(2014, 1, 2)
LAST_DATE: Final = date(2025, 12, 31)
SESSION_BARS: Final = 390


class Advance(Protocol):
    """Called after each step with what was done."""

    def __call__(self, last: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceScale:
    """How many bars are raced over and how often, and how many the further comparisons take."""

    bars: int = 100_000
    compared_bars: int = 25_000
    runs: int = 3


FULL: Final = RaceScale()
QUICK: Final = RaceScale(bars=10_000, compared_bars=5_000, runs=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The trades of one rule by our exchange and by another engine; null when that one failed.

    `bars_per_cpu_second` is the other engine's, of a single run.
    """

    words: str
    engine: str
    title: str
    bars: int
    ours: int
    theirs: int
    bars_per_cpu_second: float | None
    result: Comparison | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """What was measured, in the order of the tables."""

    bars: int
    entrants: tuple[Entrant, ...]
    compared: tuple[Compared, ...]


BUSY_WORDS: Final = "busy rule, at this close"
FURTHER: Final = (
    (BUSY_WORDS, BUSY, Fills.THIS_CLOSE),
    ("busy rule, at the next open", BUSY, Fills.NEXT_OPEN),
    ("tight rule, at this close", TIGHT, Fills.THIS_CLOSE),
)
"""What is run once more, on fewer bars, for its trades."""


def steps_of(engines: Sequence[ForeignEngine], scale: RaceScale) -> int:
    """How often `measure` advances."""
    further = sum(fills in engine.fills for engine in engines for _, _, fills in FURTHER)
    return 1 + len(engines) + scale.runs * (len(OWN) + len(engines)) + further + 1


def measure(
    engines: Sequence[ForeignEngine],
    scale: RaceScale,
    folder: Path,
    environments: Path,
    advance: Advance,
) -> SideBySide:
    """The race and the comparisons, turn by turn so that a busy minute hits everyone alike."""
    course = _Course.generated(folder, scale.bars)
    advance("bars generated")
    own = [
        Entrant(
            key=run.key,
            title=run.title,
            simulates=run.simulates,
            command=own_command(run.key, folder),
        )
        for run in OWN
    ]
    foreign = [_entrant(engine, course, environments, advance) for engine in engines]
    for _ in range(scale.runs):
        for entrant in (*own, *foreign):
            run_once(entrant, folder / "answer.json")
            advance(entrant.title)
    usual = [_against_own_run(course, own[-1], entrant) for entrant in foreign]
    few = course.first(scale.compared_bars)
    return SideBySide(
        bars=course.bars.height,
        entrants=(*own, *foreign),
        compared=(*usual, *_further(few, engines, foreign, advance)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """The bars, in a folder of their own, and what they are run under."""

    folder: Path
    bars: pl.DataFrame
    rules: Rules

    @classmethod
    def generated(cls, folder: Path, bars: int) -> "_Course":
        rules = load_rules()
        sessions = sessions_between(FIRST_DATE, LAST_DATE, rules.session)
        market = BenchBars.generated(sessions[: max(2, -(-bars // SESSION_BARS))], rules)
        market.store(folder)
        return cls.of(folder, rule_bars(market.bars, market.contexts), rules)

    @classmethod
    def of(cls, folder: Path, bars: pl.DataFrame, rules: Rules) -> "_Course":
        folder.mkdir(exist_ok=True)
        write_bars(bars, rules.instrument, folder)
        return cls(folder=folder, bars=bars, rules=rules)

    def first(self, bars: int) -> "_Course":
        """The first bars, up to the end of a session."""
        ends = (self.bars["minutes_left"] == 0).arg_true() + 1
        height = next((end for end in ends if end >= bars), self.bars.height)
        return _Course.of(self.folder / "few", self.bars.head(height), self.rules)

    def words_for(self, rule: RaceRule, fills: Fills) -> tuple[str, ...]:
        """What a script is told: its bars and its rule."""
        instrument = self.rules.instrument
        name = write_rule(rule, instrument, fills, self.folder)
        return (str(self.folder / BARS_FILE), str(name))

    def own_trades(
        self, rule: RaceRule, fills: Fills, exchange: Exchange | None = None
    ) -> list[RuleTrade]:
        instrument = self.rules.instrument
        exchange = exchange or plain_exchange(instrument)
        return play_rule(self.bars, rule, fills, exchange, instrument.symbol)

    def trades_told(self, entrant: Entrant) -> list[RuleTrade]:
        return trades_of(entrant.runs[0].trades, float(self.rules.instrument.tick_size))


def _entrant(
    engine: ForeignEngine, course: _Course, environments: Path, advance: Advance
) -> Entrant:
    entrant = Entrant(key=engine.key, title=engine.title, simulates=engine.simulates)
    python = environment_of(engine, environments)
    advance(f"environment of {engine.title}")
    if isinstance(python, Unusable):
        entrant.problem = python.reason
        return entrant
    words = course.words_for(CALM, Fills.THIS_CLOSE)
    entrant.command = (str(python), str(engine.script), *words)
    return entrant


def _against_own_run(course: _Course, own: Entrant, entrant: Entrant) -> Compared:
    ours = course.trades_told(own) if own.runs else course.own_trades(CALM, Fills.THIS_CLOSE)
    return _compared("calm rule, at this close", course, ours, entrant, CALM, Fills.THIS_CLOSE)


def _further(
    few: _Course,
    engines: Sequence[ForeignEngine],
    foreign: Sequence[Entrant],
    advance: Advance,
) -> list[Compared]:
    """The other rules by every engine that can express them, and our desk's own conventions."""
    rows = []
    for words, rule, fills in FURTHER:
        ours = few.own_trades(rule, fills)
        for engine, entrant in zip(engines, foreign, strict=True):
            if fills not in engine.fills:
                continue
            again = replace(entrant, runs=[])
            again.command = (*entrant.command[:2], *few.words_for(rule, fills))
            run_once(again, few.folder / "answer.json")
            advance(engine.title)
            rows.append(_compared(words, few, ours, again, rule, fills))
    rows.append(_desk_exchange(few))
    advance("the desk's own conventions")
    return rows


def _compared(
    words: str,
    course: _Course,
    ours: Sequence[RuleTrade],
    entrant: Entrant,
    rule: RaceRule,
    fills: Fills,
) -> Compared:
    theirs = course.trades_told(entrant) if entrant.runs else []
    conventions = Conventions(rule=rule, fills=fills)
    result = compare(ours, theirs, Prices.of(course.bars), conventions) if entrant.runs else None
    return Compared(
        words=words,
        engine=entrant.key,
        title=entrant.title,
        bars=course.bars.height,
        ours=len(ours),
        theirs=len(theirs),
        bars_per_cpu_second=bars_per_second(entrant, course.bars.height, "cpu_seconds"),
        result=result,
    )


def _desk_exchange(few: _Course) -> Compared:
    """Our exchange as the contracts set it, beside itself without slippage, delay and doubt."""
    settings = exchange_settings(few.rules, DEPOSIT_USD)
    ours = few.own_trades(BUSY, Fills.NEXT_OPEN)
    theirs = few.own_trades(BUSY, Fills.NEXT_OPEN, Exchange(settings))
    conventions = Conventions(
        rule=BUSY,
        fills=Fills.NEXT_OPEN,
        slippage_ticks_max=round(settings.slippage_ticks_max),
        waits_for_passing=not settings.limit_fills_on_touch,
    )
    return Compared(
        words="busy rule, at the next open",
        engine="desk_exchange",
        title="our exchange as the desk has it",
        bars=few.bars.height,
        ours=len(ours),
        theirs=len(theirs),
        bars_per_cpu_second=None,
        result=compare(ours, theirs, Prices.of(few.bars), conventions),
    )
