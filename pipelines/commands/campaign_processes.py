"""`credence campaign --processes` and `--soak`: real processes struck, and kept running."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.campaign.processes import (
    RECOVERED_WITHIN_SECONDS,
    ProcessOutcome,
    Struck,
    run_processes,
)
from pipelines.campaign.soak import SoakReading, findings, run_soak
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.live_stage import spread


def show_processes(strikes: int, seed: int, *, as_json: bool) -> int:
    """Strike so many times and print what came of it by kind; `NO` if a law was broken."""
    screen = Screen.of_process()
    with screen.progress("blows", strikes) as advance:

        def told(outcome: ProcessOutcome) -> None:
            for struck in outcome.struck:
                advance(struck.blow.value)

        outcomes = run_processes(strikes, seed, told)
    if as_json:
        screen.json({"kinds": kinds_of(outcomes), "sessions": [*map(_plain_of, outcomes)]})
    else:
        _show(screen, outcomes)
    return Exit.NO if any(each.broken for each in outcomes) else Exit.DONE


def kinds_of(outcomes: Sequence[ProcessOutcome]) -> list[Mapping[str, Any]]:
    """A row for each kind of blow and launcher: how many, and seconds until the desk was back."""
    kinds: dict[tuple[str, str], list[Struck]] = defaultdict(list)
    for outcome in outcomes:
        for struck in outcome.struck:
            kinds[struck.blow.value, struck.launcher].append(struck)
    return [
        {"blow": blow, "launcher": launcher, **_row(kinds[blow, launcher])}
        for blow, launcher in sorted(kinds)
    ]


def _row(struck: Sequence[Struck]) -> Mapping[str, Any]:
    seconds = [each.seconds for each in struck if each.seconds is not None]
    cpu = [each.cpu_seconds for each in struck if each.cpu_seconds is not None]
    return {
        "struck": len(struck),
        "back": len(seconds),
        **(spread(seconds, "seconds") if seconds else {}),
        "late": sum(each.is_late for each in struck),
        "cpu_seconds_max": max(cpu, default=None),
        "load_max": max(each.load for each in struck),
    }


def _show(screen: Screen, outcomes: Sequence[ProcessOutcome]) -> None:
    columns = ("blow", "launched by", "struck", "back", "s p50", "s p99", "s max", "late", "cpu s")
    keys = ("struck", "back", "seconds_p50", "seconds_p99", "seconds_max", "late")
    rows = kinds_of(outcomes)
    screen.table(
        f"{sum(row['struck'] for row in rows)} blows on {len(outcomes)} sessions",
        (*columns, "load"),
        [
            (
                row["blow"],
                row["launcher"],
                *(row.get(key) for key in keys),
                row["cpu_seconds_max"],
                row["load_max"],
            )
            for row in rows
        ],
        numbers=(*columns[2:], "load"),
    )
    screen.line(
        f"late: more than {RECOVERED_WITHIN_SECONDS:g} s; a broken law only while the load was at "
        f"most {os.cpu_count()}, the processors of this machine"
    )
    broken = [(each.plan.seed, law, text) for each in outcomes for law, text in each.broken.items()]
    if not broken:
        screen.line("every law held")
        return
    screen.table("Broken laws", ("seed", "law", "what"), broken)
    screen.line("play one again: credence campaign --processes 1 --seed SEED")


def _plain_of(outcome: ProcessOutcome) -> Mapping[str, Any]:
    return {
        "seed": outcome.plan.seed,
        "session_date": outcome.plan.play.session_date.isoformat(),
        "struck": [each._asdict() for each in outcome.struck],
        "broken": dict(outcome.broken),
        "last_words": outcome.last_words,
    }


def show_soak(sessions: int, *, as_json: bool) -> int:
    """Play so many sessions in a row and print what grew; `NO` if anything did."""
    screen = Screen.of_process()
    with screen.progress("sessions", sessions) as advance:
        readings = run_soak(sessions, lambda reading: advance(str(reading.session_date)))
    found = findings(readings)
    if as_json:
        screen.json(
            {
                "findings": [{**each._asdict(), "is_flat": each.is_flat} for each in found],
                "readings": [{**each._asdict(), "session_date": _day(each)} for each in readings],
            }
        )
    else:
        columns = ("what", "after the second", "after the last", "strays by %", "at most", "flat")
        rows = [(*each, each.is_flat) for each in found]
        screen.table(f"{len(readings)} sessions", columns, rows, numbers=columns[1:5])
    return Exit.DONE if all(each.is_flat for each in found) else Exit.NO


def _day(reading: SoakReading) -> str:
    return reading.session_date.isoformat()
