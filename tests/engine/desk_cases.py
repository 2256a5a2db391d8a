"""What a person and the connection tell a desk, and what it made of what it was told."""

import json
from typing import Any

from desk_stage import Stage, at

from engine.broker import ConnectionReported, ConnectionState, FlattenPosition
from engine.desk import OperatorCommanded, OperatorVerb
from engine.kill import KillCause


def person(verb: OperatorVerb, minute: float, reason: str = "looked at it") -> OperatorCommanded:
    return OperatorCommanded(at=at(minute), verb=verb, by="ada", reason=reason)


def connection(state: ConnectionState, minute: float) -> ConnectionReported:
    return ConnectionReported(at=at(minute), state=state)


def decisions(stage: Stage) -> list[tuple[str, str | None]]:
    """Action and reason (or cause, where the trade acted) of every decision."""
    told = [json.loads(entry.payload) for entry in stage.entries if entry.kind == "decision"]
    return [(d["action"], d["cause"] or d["reason"]) for d in told]


def kinds_of(commands: list[Any]) -> list[str]:
    return [type(command).__name__ for command in commands]


def flattenings(commands: list[Any]) -> list[str]:
    return [command.ref for command in commands if isinstance(command, FlattenPosition)]


def kill_cause(stage: Stage) -> KillCause | None:
    return stage.state.kill.cause if stage.state.kill.is_killed else None
