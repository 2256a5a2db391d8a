"""The command line, `credence`: what a person and a script can ask of the desk.

A command's module is imported when it is called, because `credence status` must answer at once.
"""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

import typer

from pipelines.cli_desk import register as register_desk
from pipelines.cli_reports import register as register_reports
from pipelines.cli_research import register as register_research
from pipelines.commands.call import (
    DATE_FORMATS,
    AsJson,
    Call,
    First,
    JournalSize,
    Last,
    Symbol,
    day_of,
    usd_of,
)
from pipelines.commands.exits import INTERRUPTED, Exit, ending_of
from pipelines.commands.gateway_options import app as gateway_app
from pipelines.heap import keep_one_heap


def _ended(code: int, **_options: object) -> None:
    raise typer.Exit(code)


app: Final = typer.Typer(
    name="credence",
    help="Credence, an intraday futures desk: checked bars, stated beliefs, bounded decisions, and "
    "a reason for every one of them.",
    epilog="Exit codes: 0 done · 1 the answer is no · 2 wrong usage or input · 3 the outside world "
    "failed (disk, lock, broker). Settings are environment variables: credence status --settings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    result_callback=_ended,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _every_call(
    context: typer.Context,
    *,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error arose, not only what it says.")
    ] = False,
) -> None:
    call: Call = context.obj
    call.shows_traceback = traceback


@app.command()
def demo(
    context: typer.Context,
    *,
    sessions: Annotated[int, typer.Option(min=2, metavar="N", help="How many sessions.")] = 25,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of generated bars.")] = 7,
    source: Annotated[
        str | None, typer.Option(metavar="SRC", help="Bars to use; else generator:SEED.")
    ] = None,
) -> int:
    """Tell the whole story in a scratch home of its own: bars, beliefs, a session, why not."""
    from pipelines.commands.demo import run_demo
    from pipelines.commands.screen import Screen

    call: Call = context.obj
    home = call.settings().home / "demo"
    return run_demo(source or f"generator:{seed}", sessions, home, screen=Screen.of_process())


@app.command()
def up(
    context: typer.Context,
    *,
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="N", help="Port on 127.0.0.1.")
    ] = 3000,
) -> int:
    """Run the Dagster UI, its daemon and its code server on the data home, until Ctrl-C."""
    from pipelines.commands.screen import Screen
    from pipelines.up import run_up

    call: Call = context.obj
    wiring = call.wiring()
    _ = wiring.rules, wiring.source  # A desk on a refused contract must not come up at all.
    return run_up(wiring.settings.home, port=port, say=Screen.of_process().line)


@app.command()
def ingest(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="generator:SEED, lean:DIR, csv:PATH?tz=ZONE or parquet:PATH?tz=ZONE.",
        ),
    ],
    *,
    symbol: Symbol = None,
    first: First = None,
    last: Last = None,
    replace_other_source: Annotated[
        bool,
        typer.Option("--replace", help="Overwrite bars of another kind of source."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read bars from a source, keep what is a bar, and keep what is not with its reason."""
    from pipelines.commands.ingest import run_ingest

    call: Call = context.obj
    return run_ingest(
        call.wiring(symbol),
        source,
        day_of(first),
        day_of(last),
        replace_other_source=replace_other_source,
        as_json=as_json,
    )


@app.command()
def replay(
    context: typer.Context,
    *,
    first: First = None,
    last: Last = None,
    equity: Annotated[
        Decimal, typer.Option(parser=usd_of, metavar="USD", help="Account at the first open.")
    ] = Decimal(10_000),
    journal: Annotated[
        JournalSize,
        typer.Option(
            metavar="full|trades", help="Record every bar, or only what trades and limits touch."
        ),
    ] = JournalSize.FULL,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn", help="Learn after each session, and open the next one under what it taught."
        ),
    ] = False,
    as_json: AsJson = False,
    digest: Annotated[
        bool, typer.Option("--digest", help="Print only the journal's SHA-256; keep no journal.")
    ] = False,
) -> int:
    """Play stored bars through the desk and the simulated exchange, as fast as it goes."""
    from pipelines.commands.replay import run_replay

    call: Call = context.obj
    return run_replay(
        call.wiring(),
        day_of(first),
        day_of(last),
        equity_usd=equity,
        recording=journal.value,
        learns=learn,
        as_json=as_json,
        digest_only=digest,
    )


@app.command()
def status(
    context: typer.Context,
    *,
    settings: Annotated[
        bool, typer.Option("--settings", help="List every setting, its value and its meaning.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say what is stored, what the journals end with, and whether the desk may act."""
    from pipelines.commands.status import run_status

    call: Call = context.obj
    return run_status(call.settings(), lists_settings=settings, as_json=as_json)


@app.command()
def verify(
    context: typer.Context,
    *,
    session: Annotated[
        datetime | None,
        typer.Option(formats=DATE_FORMATS, metavar="DATE", help="Only what belongs to this one."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check journal chains, ledgers, schemas and parity; exit code 1 when one does not hold."""
    from pipelines.commands.verify import run_verify

    call: Call = context.obj
    return run_verify(call.wiring(), day_of(session), as_json=as_json)


@app.command()
def journal(
    context: typer.Context,
    day: Annotated[
        datetime, typer.Argument(metavar="DATE", formats=DATE_FORMATS, help="Session date.")
    ],
    *,
    skips: Annotated[bool, typer.Option("--skips", help="Show the bars without a trade too.")] = (
        False
    ),
    at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%H:%M"], metavar="HH:MM", help="All of the decision at this New York time."
        ),
    ] = None,
    of: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Part of a journal's name, when several have the day: replay."
        ),
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Tell a session's decisions in plain English; with --at, why one was as it was."""
    from pipelines.commands.journal import run_journal

    call: Call = context.obj
    clock = None if at is None else at.time()
    return run_journal(
        call.wiring(), day.date(), of=of, with_skips=skips, at=clock, as_json=as_json
    )


@app.command()
def learn(
    context: typer.Context, *, first: First = None, last: Last = None, as_json: AsJson = False
) -> int:
    """Learn from sessions that were traded, rehearsed or replayed: the nights, in order."""
    from pipelines.commands.learn import run_learn

    call: Call = context.obj
    return run_learn(call.wiring(), day_of(first), day_of(last), as_json=as_json)


@app.command()
def evolve(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Try every small change of the parameters on stored sessions, and say what is proposed."""
    from pipelines.commands.evolve import run_evolve

    call: Call = context.obj
    return run_evolve(call.wiring(), as_json=as_json)


@app.command()
def promote(
    context: typer.Context,
    day: Annotated[
        datetime | None,
        typer.Argument(
            metavar="[DATE]", formats=DATE_FORMATS, help="Last session of the search; else newest."
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


@app.command()
def rollback(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Take back the newest promotion that still stands."""
    from pipelines.commands.evolve import run_rollback

    call: Call = context.obj
    return run_rollback(call.wiring(), as_json=as_json)


@app.command()
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


@app.command()
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


@app.command()
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


app.add_typer(gateway_app, name="gateway")


register_desk(app)
register_reports(app)
register_research(app)


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """The exit code of one call; every error has ended as one message on stderr."""
    call = Call(environ=os.environ if environ is None else environ)
    try:
        app(args=list(arguments), prog_name="credence", obj=call)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - The one place where every error becomes a message.
        if call.shows_traceback:
            traceback.print_exc()
        from pipelines.commands.screen import Screen

        code, message = ending_of(error)
        Screen.of_process().fail(message)
        return code
    return Exit.DONE


def main() -> None:
    """Entry point of the console script."""
    keep_one_heap()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
