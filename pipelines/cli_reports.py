"""The commands on a session that is over: its page and its books. Registered by `pipelines.cli`."""

from datetime import datetime
from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call, read_date


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(report)
    app.command()(accept_difference)


def report(
    context: typer.Context,
    day: Annotated[
        datetime, typer.Argument(metavar="DATE", parser=read_date, help="Session date.")
    ],
    *,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    preopen: Annotated[
        bool,
        typer.Option(
            "--preopen", help="The review before this session's open: what came, what is wrong."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write a session's page, one file that opens offline, and say what to look at first."""
    from pipelines.commands.report import run_report

    call: Call = context.obj
    return run_report(call.wiring(), day.date(), is_preopen=preopen, opens=opens, as_json=as_json)


def accept_difference(
    context: typer.Context,
    day: Annotated[
        datetime, typer.Argument(metavar="DATE", parser=read_date, help="Session date.")
    ],
    *,
    usd: Annotated[
        str | None,
        typer.Option(metavar="USD", help="The difference in money, like -12.34; or unknown."),
    ] = None,
    lots: Annotated[
        int | None, typer.Option(metavar="N", help="The lots that are left open, signed.")
    ] = None,
    why: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; it is kept with the act.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who accepts it; else the user's name.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show how a session's books differ from the broker's; accept it, if it is named exactly."""
    from pipelines.commands.accept_difference import run_accept_difference

    call: Call = context.obj
    return run_accept_difference(
        call.wiring(), day.date(), usd=usd, lots=lots, by=by, why=why, as_json=as_json
    )
