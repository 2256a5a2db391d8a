"""The command that tries many numbers at once: `sweep`. Registered by `pipelines.cli`."""

from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call, First, Last, day_of


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(sweep)


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
