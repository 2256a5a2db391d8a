"""`credence bench --against`: this desk beside other engines, on the same bars and machine."""

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pipelines.commands.bench import answer, exit_of, floor, machine, row_of
from pipelines.commands.screen import Screen
from pipelines.stopwatch.comparison import Cause
from pipelines.stopwatch.engines import engines_named
from pipelines.stopwatch.race import Entrant, bars_per_second, by_key
from pipelines.stopwatch.side_by_side import (
    BUSY_WORDS,
    FULL,
    QUICK,
    Compared,
    RaceScale,
    SideBySide,
    measure,
    steps_of,
)

TARGETS: Final = (
    ("full", "run_seconds", floor("full_to_nautilus", "full journal, × NautilusTrader", "×", 1)),
    ("full", "cpu_seconds", floor("full_to_nautilus_cpu", "  by processor time", "×", None)),
    ("trades", "run_seconds", floor("trades_to_nautilus", "trades only, × NautilusTrader", "×", 5)),
    ("trades", "cpu_seconds", floor("trades_to_nautilus_cpu", "  by processor time", "×", None)),
)
"""Whose run, by which clock, and what it should be."""

UNDER_ORDERS: Final = floor(
    "full_to_busy_nautilus_cpu", "full journal, × its busy rule, by processor time", "×", None
)

NUMBERS: Final = (
    "run_seconds",
    "cpu_seconds",
    "setup_seconds",
    "warm_up_seconds",
    "peak_rss_mb",
)


def scale_of(bars: int | None, *, quick: bool) -> RaceScale:
    """The usual scale, or a small one, with another number of bars if one is given."""
    scale = QUICK if quick else FULL
    if bars is None:
        return scale
    return replace(scale, bars=bars, compared_bars=min(bars, scale.compared_bars))


def run_against(
    name: str, scale: RaceScale, environments: Path, *, checks: bool, as_json: bool
) -> int:
    """Race and compare; `NO` only when asked to check and a target or an explanation is missing."""
    engines = engines_named(name)
    screen = Screen.of_process()
    with (
        TemporaryDirectory(prefix="credence-bench-") as scratch,
        screen.progress("measuring", steps_of(engines, scale)) as advance,
    ):
        measured = measure(engines, scale, Path(scratch), environments, advance)
    rows = ratio_rows(measured)
    if as_json:
        screen.json(answer_of(measured, rows, scale))
    else:
        show(screen, measured)
        answer(screen, rows, is_full=scale == FULL, as_json=False)
    return exit_of([*rows, {"passed": is_explained(measured)}], checks=checks)


def ratio_rows(measured: SideBySide) -> list[Mapping[str, Any]]:
    """How many times NautilusTrader's speed ours is, each run beside that of its own turn."""
    entrants = by_key(measured.entrants)
    nautilus = entrants.get("nautilus")
    rows = []
    for key, clock, target in TARGETS:
        runs = [] if nautilus is None else zip(entrants[key].runs, nautilus.runs, strict=False)
        rows.append(
            row_of(target, [getattr(theirs, clock) / getattr(ours, clock) for ours, theirs in runs])
        )
    return [*rows, row_of(UNDER_ORDERS, _under_orders(measured))]


def _under_orders(measured: SideBySide) -> list[float]:
    """The same for the busy rule, which NautilusTrader ran once; none if it did not."""
    ours = bars_per_second(by_key(measured.entrants)["full"], measured.bars, "cpu_seconds")
    busy = [
        row.bars_per_cpu_second
        for row in measured.compared
        if (row.engine, row.words) == ("nautilus", BUSY_WORDS)
    ]
    return [ours / theirs for theirs in busy if ours is not None and theirs is not None]


def is_explained(measured: SideBySide) -> bool:
    """Whether every trade of every engine that could be compared is the same or has its reason."""
    return all(row.result.is_explained for row in measured.compared if row.result is not None)


def answer_of(
    measured: SideBySide, rows: list[Mapping[str, Any]], scale: RaceScale
) -> Mapping[str, Any]:
    """Everything as one object: what each engine took, and each trade that is not the same."""
    return {
        "machine": machine(),
        "is_full": scale == FULL,
        "load": os.getloadavg()[0],
        "bars": measured.bars,
        "measurements": rows,
        "entrants": [_plain_entrant(entrant, measured.bars) for entrant in measured.entrants],
        "compared": [_plain_compared(row) for row in measured.compared],
    }


def _plain_entrant(entrant: Entrant, bars: int) -> Mapping[str, Any]:
    return {
        "key": entrant.key,
        "title": entrant.title,
        "version": version_of(entrant),
        "problem": entrant.problem,
        "bars_per_second": bars_per_second(entrant, bars),
        "bars_per_cpu_second": bars_per_second(entrant, bars, "cpu_seconds"),
        **{name: entrant.median_of(name) for name in NUMBERS},
        "trades": trades_in(entrant),
        "runs": [{name: getattr(run, name) for name in NUMBERS} for run in entrant.runs],
        "simulates": entrant.simulates,
    }


def _plain_compared(row: Compared) -> Mapping[str, Any]:
    differences = () if row.result is None else row.result.differences
    return {
        "rule": row.words,
        "engine": row.engine,
        "bars": row.bars,
        "bars_per_cpu_second": row.bars_per_cpu_second,
        "ours": row.ours,
        "theirs": row.theirs,
        "same": None if row.result is None else row.result.same,
        "differences": [asdict(difference) for difference in differences],
    }


def version_of(entrant: Entrant) -> str | None:
    """The version that ran; null when none did."""
    return entrant.runs[0].version if entrant.runs else None


def trades_in(entrant: Entrant) -> int | None:
    """How many trades it made: of the calm rule, and the desk of its own strategies."""
    return len(entrant.runs[0].trades) if entrant.runs else None


def show(screen: Screen, measured: SideBySide) -> None:
    """Three tables for a person: speed, what it buys, whose trades are the same, and who is out."""
    screen.table(
        f"Side by side: {measured.bars:,} one-minute bars, one core each, medians",
        ("engine", "version", "bars/s", "per CPU s", "set-up s", "warm-up s", "MB", "trades"),
        [_speed_cells(entrant, measured.bars) for entrant in measured.entrants],
        numbers=("bars/s", "per CPU s", "set-up s", "warm-up s", "MB", "trades"),
    )
    screen.table(
        "What each simulates in that time",
        ("engine", "what"),
        [(entrant.title, entrant.simulates) for entrant in measured.entrants],
    )
    screen.table(
        "The same trades? Our exchange against each, to the tick, the bar and the cent",
        ("rule", "engine", "bars", "per CPU s", "ours", "theirs", "same", "differences"),
        [_compared_cells(row) for row in measured.compared],
        numbers=("bars", "per CPU s", "ours", "theirs", "same"),
    )
    for entrant in measured.entrants:
        if entrant.problem is not None:
            screen.line(f"{entrant.title}: {entrant.problem}", style="red")
    screen.say(f"while the load of the machine was {os.getloadavg()[0]:.1f}")


def _speed_cells(entrant: Entrant, bars: int) -> tuple[object, ...]:
    speeds = [bars_per_second(entrant, bars, clock) for clock in ("run_seconds", "cpu_seconds")]
    memory = entrant.median_of("peak_rss_mb")
    return (
        entrant.title,
        version_of(entrant) or "did not run",
        *(None if speed is None else round(speed) for speed in speeds),
        entrant.median_of("setup_seconds"),
        entrant.median_of("warm_up_seconds") or None,
        None if memory is None else round(memory),
        trades_in(entrant),
    )


def _compared_cells(row: Compared) -> tuple[object, ...]:
    if row.result is None:
        return (row.words, row.title, row.bars, None, row.ours, None, None, "did not run")
    counts = [(cause, row.result.count(cause)) for cause in Cause]
    words = ", ".join(f"{count:,} {cause.value}" for cause, count in counts if count)
    speed = row.bars_per_cpu_second
    return (
        row.words,
        row.title,
        row.bars,
        None if speed is None else round(speed),
        row.ours,
        row.theirs,
        row.result.same,
        words or "none",
    )
