"""The desk: one pure step from what happened to what is recorded and what is asked for."""

from engine.desk.apply import apply, fold
from engine.desk.desk import Desk
from engine.desk.encoding import fact_of, state_from_json, state_to_json
from engine.desk.facts import (
    BarClosed,
    ClockTicked,
    CommandFailed,
    Fact,
    Input,
    LoopFailed,
    OperatorCommanded,
    Recording,
    SessionClosed,
    SessionOpened,
)
from engine.desk.quiet import QuietBar, QuietStep, is_quiet, quiet_bars
from engine.desk.state import EMPTY, DeskState
from engine.desk.turn import Step
from engine.modes import Mode, OperatorVerb

__all__ = [
    "EMPTY",
    "BarClosed",
    "ClockTicked",
    "CommandFailed",
    "Desk",
    "DeskState",
    "Fact",
    "Input",
    "LoopFailed",
    "Mode",
    "OperatorCommanded",
    "OperatorVerb",
    "QuietBar",
    "QuietStep",
    "Recording",
    "SessionClosed",
    "SessionOpened",
    "Step",
    "apply",
    "fact_of",
    "fold",
    "is_quiet",
    "quiet_bars",
    "state_from_json",
    "state_to_json",
]
