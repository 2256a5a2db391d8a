"""The command that writes pages for people: `report`. Registered by `pipelines.cli`."""

from datetime import datetime
from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call, read_date


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(report)


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
