"""The commands that learn and try: what nights, searches and sweeps say. For `pipelines.cli`."""

from datetime import datetime
from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call, First, Last, day_of, read_date


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (learn, evolve, promote, rollback, fit_beliefs, sweep):
        app.command()(command)


def learn(
    context: typer.Context, *, first: First = None, last: Last = None, as_json: AsJson = False
) -> int:
    """Learn from sessions that were traded, rehearsed or replayed: the nights, in order."""
    from pipelines.commands.learn import run_learn

    call: Call = context.obj
    return run_learn(call.wiring(), day_of(first), day_of(last), as_json=as_json)


def evolve(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Try every small change of the parameters on stored sessions, and say what is proposed."""
    from pipelines.commands.evolve import run_evolve

    call: Call = context.obj
    return run_evolve(call.wiring(), as_json=as_json)


def promote(
    context: typer.Context,
    day: Annotated[
        datetime | None,
        typer.Argument(
            metavar="[DATE]", parser=read_date, help="Last session of the search; else newest."
        ),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept with the change.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if the search calls it no better than luck.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write a proposed number into its contract, with who, why and what it was before."""
    from pipelines.commands.evolve import run_promote

    call: Call = context.obj
    return run_promote(call.wiring(), day_of(day), reason=reason, anyway=anyway, as_json=as_json)


def rollback(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Take back the newest promotion that still stands."""
    from pipelines.commands.evolve import run_rollback

    call: Call = context.obj
    return run_rollback(call.wiring(), as_json=as_json)


def fit_beliefs(
    context: typer.Context,
    *,
    first: First = None,
    last: Last = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write slopes and intercepts into beliefs.yaml.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Set every constraint's slope and intercept from what its evidence looks like."""
    from pipelines.commands.fit_beliefs import run_fit_beliefs

    call: Call = context.obj
    return run_fit_beliefs(
        call.wiring(), day_of(first), day_of(last), writes=write, as_json=as_json
    )


def sweep(
    context: typer.Context,
    *,
    sets: Annotated[
        int, typer.Option(min=1, metavar="N", help="Parameter sets, today's rules included.")
    ] = 1_000,
    first: First = None,
    last: Last = None,
    sessions: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Only so many: the newest stored, the first of a source."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="SRC", help="Bars to use, ten years unless dated; else those stored."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed that the sets are drawn from.")
    ] = 0,
    verify: Annotated[
        int, typer.Option(min=0, metavar="N", help="Replay so many sets in full, and compare.")
    ] = 2,
    processes: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that share it.")] = (
        2
    ),
    scaling: Annotated[
        bool,
        typer.Option("--scaling", help="Measure how the cost grows instead, and draw it."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Try many parameter sets on many sessions, trade for trade as a replay, and judge the best."""
    from pipelines.commands.sweep import SweptBars, run_scaling, run_sweep
    from pipelines.sweep import SweepRequest

    call: Call = context.obj
    bars = SweptBars(
        source=source, first_date=day_of(first), last_date=day_of(last), sessions=sessions
    )
    checked = 0 if scaling else min(verify, sets)
    request = SweepRequest(sets=sets, seed=seed, checked=checked, processes=processes)
    run = run_scaling if scaling else run_sweep
    return run(call.wiring(), bars, request, as_json=as_json)
