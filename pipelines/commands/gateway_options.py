"""The arguments of `credence gateway` and of what it is told while it runs."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer

from pipelines.commands.call import AsJson, Call, Symbol, day_of, read_date, usd_of
from pipelines.commands.exits import Exit

PORT: Final = 4002
"""Where IB Gateway listens for paper accounts."""

CONTROL_PORT: Final = 4102

Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")]
ControlPort = Annotated[
    int,
    typer.Option(min=0, max=65535, metavar="N", help="Port that takes faults; 0 takes a free one."),
]

app: Final = typer.Typer(
    invoke_without_command=True,
    help="Play bars as a simulated IB Gateway on loopback, until the session is over.",
)


@app.callback()
def gateway(
    context: typer.Context,
    *,
    source: Annotated[
        str | None,
        typer.Option(metavar="SRC", help="Bars to play, as for ingest; else CREDENCE_SOURCE."),
    ] = None,
    symbol: Symbol = None,
    session: Annotated[
        datetime | None,
        typer.Option(parser=read_date, metavar="DATE", help="Session; else the newest."),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(metavar="X", help="Times the clock, such as 1 or 60; max waits for clients."),
    ] = "1",
    port: Port = PORT,
    control_port: ControlPort = CONTROL_PORT,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML plan of what goes wrong when.")
    ] = None,
    equity: Annotated[
        Decimal, typer.Option(parser=usd_of, metavar="USD", help="Money of the paper account.")
    ] = Decimal(10_000),
    stay: Annotated[
        bool, typer.Option("--stay", help="Serve on when the session is over, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Play bars as a simulated IB Gateway on loopback, until the session is over."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    from pipelines.commands.gateway import run_gateway

    call: Call = context.obj
    return run_gateway(
        call.wiring(symbol),
        source,
        day_of(session),
        speed=speed,
        port=port,
        control_port=control_port,
        plan_file=faults,
        equity_usd=equity,
        stays=stay,
        as_json=as_json,
    )


@app.command("fault")
def switch_fault(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of credence gateway faults.")],
    turn: Annotated[str, typer.Argument(metavar="on|off", help="On, or off again.")] = "on",
    *,
    control_port: ControlPort = CONTROL_PORT,
    rate: Annotated[
        float | None, typer.Option(metavar="X", help="How often, 0 to 1, where it is by chance.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", help="Market time of a delay.")
    ] = None,
    quantity: Annotated[
        int | None, typer.Option(metavar="N", help="Contracts; below 0 is sold.")
    ] = None,
    code: Annotated[int | None, typer.Option(metavar="N", help="Number of a warning.")] = None,
) -> int:
    """Switch a fault of a gateway that runs, such as: credence gateway fault stall-bars on."""
    from pipelines.commands.gateway import change_fault

    numbers = {"rate": rate, "seconds": seconds, "quantity": quantity, "code": code}
    return change_fault(name, turn, control_port, numbers)


@app.command("faults")
def list_faults(*, control_port: ControlPort = CONTROL_PORT, as_json: AsJson = False) -> int:
    """List the faults of a gateway that runs, and which are on."""
    from pipelines.commands.gateway import show_faults

    return show_faults(control_port, as_json=as_json)
