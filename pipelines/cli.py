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
from pipelines.cli_proof import register as register_proof
from pipelines.cli_reports import register as register_reports
from pipelines.cli_research import register as register_research
from pipelines.commands.call import (
    AsJson,
    Call,
    First,
    JournalSize,
    Last,
    Symbol,
    day_of,
    read_clock,
    read_date,
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
        typer.Option(
            "--replace", help="Overwrite bars of another kind of source, or minutes that SRC lacks."
        ),
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
        typer.Option(parser=read_date, metavar="DATE", help="Only what belongs to this one."),
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
        datetime, typer.Argument(metavar="DATE", parser=read_date, help="Session date.")
    ],
    *,
    skips: Annotated[bool, typer.Option("--skips", help="Show the bars without a trade too.")] = (
        False
    ),
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=read_clock, metavar="HH:MM", help="All of the decision at this New York time."
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


app.add_typer(gateway_app, name="gateway")
register_desk(app)
register_reports(app)
register_research(app)
register_proof(app)


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
