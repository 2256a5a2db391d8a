"""The commands that prove what is claimed: `bench` and `campaign`. For `pipelines.cli`."""

from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (bench, campaign):
        app.command()(command)


def bench(
    context: typer.Context,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the bars and one run of each measurement.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 when a target is missed.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="The live path: sessions at a simulated gateway.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Beside other engines: all, nautilus, backtesting, backtrader or vectorbt; each "
            "is installed into an environment of its own under the data home.",
        ),
    ] = None,
    bars: Annotated[
        int | None,
        typer.Option(min=1_000, metavar="N", help="With --against: how many bars; else 100,000."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Measure what the README states, each in a process of its own."""
    if against is not None:
        from pipelines.commands import bench_against

        call: Call = context.obj
        return bench_against.run_against(
            against,
            bench_against.scale_of(bars, quick=quick),
            call.wiring().home.stopwatch,
            checks=check,
            as_json=as_json,
        )
    if bars is not None:
        raise typer.BadParameter("expected --against NAME beside --bars; the others have a scale")
    if live:
        from pipelines.commands import bench_live

        scale = bench_live.QUICK if quick else bench_live.FULL
        return bench_live.run_live_bench(scale, checks=check, as_json=as_json)
    from pipelines.commands.bench import FULL, QUICK, run_bench

    return run_bench(QUICK if quick else FULL, checks=check, as_json=as_json)


def campaign(
    *,
    sessions: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many sessions at least.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the first run.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, metavar="M", help="Stop after so long.")
    ] = None,
    case: Annotated[
        str | None, typer.Option("--replay", metavar="CASE", help="Play one printed case again.")
    ] = None,
    mutations: Annotated[
        bool,
        typer.Option("--mutations", help="Plant known bugs, one by one, and say what caught each."),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Strike real processes so often: SIGKILL, power …"),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many sessions in one process: does it grow?"),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Play sessions of the desk under every trouble, and judge each event by the laws."""
    if processes is not None or soak is not None:
        from pipelines.commands.campaign_processes import show_processes, show_soak

        if processes is not None:
            return show_processes(processes, seed, as_json=as_json)
        return show_soak(soak or 1, as_json=as_json)
    from pipelines.commands.campaign import run_case, run_mutations, run_sessions

    if case is not None:
        return run_case(case, as_json=as_json)
    if mutations:
        return run_mutations(seed, as_json=as_json)
    return run_sessions(sessions, seed, minutes, as_json=as_json)
