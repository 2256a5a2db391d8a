"""The other engines: what they are, which fills they can express, and what they simulate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import SettingsError
from pipelines.stopwatch.rule import Fills

FOREIGN: Final = Path(__file__).parent / "foreign"
ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEngine:
    """One engine, with a script of ours and a list of pinned packages under `foreign/`."""

    key: str
    title: str
    fills: frozenset[Fills]
    simulates: str
    script: Path
    requirements: Path


def _engine(key: str, title: str, fills: tuple[Fills, ...], simulates: str) -> ForeignEngine:
    return ForeignEngine(
        key=key,
        title=title,
        fills=frozenset(fills),
        simulates=simulates,
        script=FOREIGN / f"run_{key}.py",
        requirements=FOREIGN / "requirements" / f"{key}.txt",
    )


ENGINES: Final = (
    _engine(
        "nautilus",
        "NautilusTrader",
        (Fills.THIS_CLOSE,),
        "event engine: message bus, order state machine, risk checks, one-level book fed by bars, "
        "brackets, fees, margin account; the rule's one indicator; no journal on disk, no log",
    ),
    _engine(
        "backtesting",
        "backtesting.py",
        (Fills.THIS_CLOSE, Fills.NEXT_OPEN),
        "bars one by one: market, limit and stop orders, brackets, fees; statistics of the run "
        "are part of it",
    ),
    _engine(
        "backtrader",
        "backtrader",
        (Fills.THIS_CLOSE, Fills.NEXT_OPEN),
        "bars one by one: orders that cancel each other, fees, cash; the rule's two indicators",
    ),
    _engine(
        "vectorbt",
        "vectorbt",
        (Fills.THIS_CLOSE,),
        "signal columns through one compiled loop: stop and target as shares of a price, fees; "
        "no orders, no events",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRun:
    """One way to run ours; `pipelines.stopwatch.own_run` knows it by its key."""

    key: str
    title: str
    simulates: str


OWN: Final = (
    OwnRun(
        key="full",
        title="Credence, full journal",
        simulates="the desk: 35 signals, beliefs, narrative, limits, order states, brackets, "
        "slippage, fees, latency; every bar and decision in a hash-chained journal on disk",
    ),
    OwnRun(
        key="trades",
        title="Credence, --journal trades",
        simulates="the same desk and trades: signals and beliefs of every bar, no words for bars "
        "that can do nothing; trades and limits in the journal",
    ),
    OwnRun(
        key="rule",
        title="Credence's exchange, the rule",
        simulates="the desk's simulated exchange alone: orders, brackets, fees; slippage and "
        "latency off, no desk, no journal",
    ),
)


def engines_named(name: str) -> tuple[ForeignEngine, ...]:
    """One engine, or with `all` every one; raises `SettingsError` naming those there are."""
    chosen = tuple(engine for engine in ENGINES if name in {ALL, engine.key})
    if not chosen:
        known = ", ".join((ALL, *(engine.key for engine in ENGINES)))
        raise SettingsError(f"--against: expected one of {known}, got {name!r}")
    return chosen
