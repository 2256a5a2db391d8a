"""The commands of a live desk: `session`, and a person's levers. Registered by `pipelines.cli`."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from pipelines.commands.call import AsJson, Call, day_of, read_date


class ModeName(StrEnum):
    """Where orders go."""

    OBSERVE = "observe"
    PAPER = "paper"
    LIVE = "live"


class BrokerName(StrEnum):
    """Who is at the other end; `simulated` plays stored bars without a network."""

    GATEWAY = "gateway"
    IBKR = "ibkr"
    SIMULATED = "simulated"


Mode = Annotated[
    ModeName | None,
    typer.Option(metavar="observe|paper|live", help="Where orders go; else CREDENCE_MODE."),
]
LeverMode = Annotated[
    ModeName | None,
    typer.Option(
        metavar="observe|paper|live", help="Whose lever; else the session's that is last."
    ),
]
Broker = Annotated[
    BrokerName | None,
    typer.Option(
        metavar="gateway|ibkr|simulated",
        help="Who is at the other end; else CREDENCE_BROKER. Simulated plays stored bars.",
    ),
]
Host = Annotated[
    str | None, typer.Option(metavar="NAME", help="Host of the gateway; else CREDENCE_IBKR_HOST.")
]
Port = Annotated[
    int | None, typer.Option(metavar="N", help="Port of the gateway; else CREDENCE_IBKR_PORT.")
]
ClientId = Annotated[
    int | None,
    typer.Option(metavar="N", help="Our id at the gateway; else CREDENCE_IBKR_CLIENT_ID."),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the journal.")]
GiveUp = Annotated[
    float | None,
    typer.Option("--give-up", metavar="SECONDS", help="Wait so long for the broker to be flat."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (session, halt, resume, kill, flatten, checklist):
        app.command()(command)


def session(
    context: typer.Context,
    *,
    mode: Mode = None,
    broker: Broker = None,
    date: Annotated[
        datetime | None,
        typer.Option(parser=read_date, metavar="DATE", help="Session; else today's."),
    ] = None,
    host: Host = None,
    port: Port = None,
    client_id: ClientId = None,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="For live: the account, typed once more."),
    ] = None,
    leave: Annotated[
        bool,
        typer.Option("--leave", help="When stopped, leave a protected position to the next run."),
    ] = False,
    minute: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Wall time of a minute, simulated broker."),
    ] = 0.0,
    as_json: AsJson = False,
) -> int:
    """Trade one session by hand: what the sensor's run does, in lines a person can read."""
    from pipelines.commands.session import run_session

    return run_session(
        _call(context, mode, broker, host, port, client_id).wiring(),
        day_of(date),
        is_simulated=broker is BrokerName.SIMULATED,
        seconds_per_minute=minute,
        confirmed_account=confirm,
        leaves_position=leave,
        as_json=as_json,
    )


def halt(
    context: typer.Context, *, reason: Reason = "", mode: LeverMode = None, as_json: AsJson = False
) -> int:
    """Enter nothing more until a person resumes; an open trade is managed to its end."""
    return _lever(_call(context, mode), "halt", mode, reason, as_json=as_json)


def resume(
    context: typer.Context, *, reason: Reason, mode: LeverMode = None, as_json: AsJson = False
) -> int:
    """Let a halted or killed desk act again; after a kill the broker must have been seen flat."""
    return _lever(_call(context, mode), "resume", mode, reason, as_json=as_json)


def _bringing_flat(verb: str, words: str) -> Callable[..., int]:
    """The two levers that ask the broker to be flat differ in what the desk may do afterwards."""

    def command(
        context: typer.Context,
        *,
        reason: Reason = "",
        mode: LeverMode = None,
        broker: Broker = None,
        host: Host = None,
        port: Port = None,
        client_id: ClientId = None,
        give_up: GiveUp = None,
        as_json: AsJson = False,
    ) -> int:
        call = _call(context, mode, broker, host, port, client_id)
        is_simulated = broker is BrokerName.SIMULATED
        return _lever(
            call, verb, mode, reason, give_up=give_up, is_simulated=is_simulated, as_json=as_json
        )

    command.__name__, command.__doc__ = verb, words
    return command


kill = _bringing_flat(
    "kill",
    "Cancel all, flatten at market, see the broker flat, and stay down until a person resumes.",
)
flatten = _bringing_flat(
    "flatten",
    "Cancel all and close the position at market; the desk may enter again afterwards.",
)


def checklist(
    context: typer.Context,
    *,
    mode: LeverMode = None,
    broker: Broker = None,
    host: Host = None,
    port: Port = None,
    client_id: ClientId = None,
    as_json: AsJson = False,
) -> int:
    """Ask the broker, the machine and the home whether this desk may trade today; with evidence."""
    from pipelines.commands.checklist import run_checklist

    call = _call(context, mode, broker, host, port, client_id)
    return run_checklist(call.wiring(), as_json=as_json)


def _lever(
    call: Call,
    verb: str,
    mode: ModeName | None,
    reason: str,
    *,
    give_up: float | None = None,
    is_simulated: bool = False,
    as_json: bool,
) -> int:
    from engine.modes import Mode as DeskMode
    from engine.modes import OperatorVerb
    from pipelines.commands.levers import run_lever

    return run_lever(
        call.settings(),
        OperatorVerb(verb),
        mode=None if mode is None else DeskMode(mode.value),
        reason=reason,
        gives_up_after_seconds=give_up,
        is_simulated=is_simulated,
        as_json=as_json,
    )


def _call(
    context: typer.Context,
    mode: ModeName | None,
    broker: BrokerName | None = None,
    host: str | None = None,
    port: int | None = None,
    client_id: int | None = None,
) -> Call:
    """The call with what was given on the command line in place of the environment's."""
    given = {
        "CREDENCE_MODE": mode,
        "CREDENCE_BROKER": None if broker is BrokerName.SIMULATED else broker,
        "CREDENCE_IBKR_HOST": host,
        "CREDENCE_IBKR_PORT": port,
        "CREDENCE_IBKR_CLIENT_ID": client_id,
    }
    call: Call = context.obj
    changes = {name: str(value) for name, value in given.items() if value is not None}
    return Call(environ={**call.environ, **changes}, shows_traceback=call.shows_traceback)
