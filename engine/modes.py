"""Where a desk's commands go, and a person's levers; known without anything else of the engine."""

from enum import StrEnum


class Mode(StrEnum):
    """Where commands go: nowhere real, a paper account, a real account, a simulated exchange."""

    OBSERVE = "observe"
    PAPER = "paper"
    LIVE = "live"
    REPLAY = "replay"


class OperatorVerb(StrEnum):
    """A person's levers."""

    HALT = "halt"
    RESUME = "resume"
    KILL = "kill"
    FLATTEN = "flatten"
