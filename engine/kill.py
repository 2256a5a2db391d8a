"""The kill switch: whether the desk may act at all, and who may say so again.

RUNNING, HALTED (no entries; open trades are managed to their end) and KILLED (cancel all, flatten,
verify flat, stay down). A limit halts until its own window is over; a person's halt and every kill
end only by a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from engine.errors import ImpossibleTransition
from engine.rules import Constitution, ExecutionRules


class KillState(StrEnum):
    """How much the desk may do: everything, nothing new, nothing."""

    RUNNING = "running"
    HALTED = "halted"
    KILLED = "killed"


class KillEvent(StrEnum):
    """What moves the switch."""

    LIMIT_REACHED = "limit_reached"
    LIMIT_CLEARED = "limit_cleared"
    PERSON_HALTED = "person_halted"
    TRIGGERED = "triggered"
    PERSON_RESUMED = "person_resumed"


class KillCause(StrEnum):
    """Why the desk is halted or killed; every trigger has its own name."""

    DAILY_LOSS = "daily_loss"
    WEEKLY_LOSS = "weekly_loss"
    MONTHLY_LOSS = "monthly_loss"
    PERSON = "person"
    CONSTITUTION_BREACH = "constitution_breach"
    STATE_DESYNC = "state_desync"
    UNEXPECTED_POSITION = "unexpected_position"
    UNPROTECTED_POSITION = "unprotected_position"
    DATA_QUALITY = "data_quality"
    EXECUTION_QUALITY = "execution_quality"
    CONNECTION_LOST = "connection_lost"
    UNKNOWN_ORDER = "unknown_order"
    UNHANDLED_EXCEPTION = "unhandled_exception"
    MARGIN_CALL = "margin_call"


_S = KillState
_E = KillEvent

NEXT_STATE: Final[Mapping[tuple[KillState, KillEvent], KillState]] = {
    (_S.RUNNING, _E.LIMIT_REACHED): _S.HALTED,
    (_S.RUNNING, _E.PERSON_HALTED): _S.HALTED,
    (_S.RUNNING, _E.TRIGGERED): _S.KILLED,
    (_S.HALTED, _E.LIMIT_REACHED): _S.HALTED,  # A wider limit is reached as well.
    (_S.HALTED, _E.LIMIT_CLEARED): _S.RUNNING,
    (_S.HALTED, _E.PERSON_HALTED): _S.HALTED,  # A person takes over a limit's halt.
    (_S.HALTED, _E.TRIGGERED): _S.KILLED,
    (_S.HALTED, _E.PERSON_RESUMED): _S.RUNNING,
    (_S.KILLED, _E.LIMIT_REACHED): _S.KILLED,  # The flattening itself may cost the day's limit.
    (_S.KILLED, _E.LIMIT_CLEARED): _S.KILLED,
    (_S.KILLED, _E.PERSON_HALTED): _S.KILLED,
    (_S.KILLED, _E.TRIGGERED): _S.KILLED,  # Troubles come together; the first cause is kept.
    (_S.KILLED, _E.PERSON_RESUMED): _S.RUNNING,
}
"""Impossible by intent: resuming, or clearing the limit of, a desk that runs."""


def next_state(state: KillState, event: KillEvent) -> KillState:
    """The state after an event; raises `ImpossibleTransition` for a pair not in the table."""
    try:
        return NEXT_STATE[state, event]
    except KeyError:
        raise ImpossibleTransition(
            f"the kill switch in state {state.value!r} cannot meet event {event.value!r}; "
            "expected a pair of engine.kill.NEXT_STATE"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """The switch as the journal left it; `is_flat_verified` speaks of the broker after a kill."""

    state: KillState = KillState.RUNNING
    cause: KillCause | None = None
    text: str = ""
    since: datetime | None = None
    is_flat_verified: bool = True

    @property
    def is_running(self) -> bool:
        return self.state is KillState.RUNNING

    @property
    def is_killed(self) -> bool:
        return self.state is KillState.KILLED


@dataclass(frozen=True, slots=True, kw_only=True)
class KillChanged:
    """Fact: the switch met an event. `by` is the person's name, or "desk"."""

    at: datetime
    event: KillEvent
    before: KillState
    after: KillState
    cause: KillCause | None
    text: str
    by: str = "desk"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatVerified:
    """Fact: after a kill the broker itself reported no position and no working order."""

    at: datetime


def change(
    switch: KillSwitch,
    event: KillEvent,
    *,
    at: datetime,
    cause: KillCause | None,
    text: str,
    by: str = "desk",
) -> KillChanged:
    """The fact that an event makes of this switch; raises `ImpossibleTransition`."""
    after = next_state(switch.state, event)
    return KillChanged(
        at=at, event=event, before=switch.state, after=after, cause=cause, text=text, by=by
    )


def apply_change(switch: KillSwitch, fact: KillChanged) -> KillSwitch:
    """Fold one change. The first cause of a kill is kept; a person's halt outranks a limit's."""
    if fact.after is KillState.RUNNING:
        return KillSwitch(since=fact.at)
    if switch.is_killed:  # Killed once more: whether it is flat is asked anew.
        return replace(switch, is_flat_verified=False)
    if (
        fact.before is KillState.HALTED
        and fact.event is KillEvent.LIMIT_REACHED
        and switch.cause is KillCause.PERSON
    ):
        return switch
    return KillSwitch(
        state=fact.after,
        cause=fact.cause,
        text=fact.text,
        since=fact.at,
        is_flat_verified=fact.after is not KillState.KILLED,
    )


def why_not_resume(switch: KillSwitch, *, reason: str, is_flat: bool) -> str | None:
    """The sentence that refuses a person's resume, or null when it may go ahead.

    A reason is always owed. After a kill the broker must have been seen flat.
    """
    if switch.is_running:
        return "the desk is running: there is nothing to resume"
    if not reason.strip():
        return "a resume needs a reason: say what was found and what was done about it"
    if switch.is_killed and not (is_flat and switch.is_flat_verified):
        return "the broker was not seen flat since the kill: flatten first, then resume"
    return None


def quality_trigger(
    dvs: float | None, eqs: float, constitution: Constitution
) -> tuple[KillCause, str] | None:
    """Whether data or execution quality has fallen so low that the desk must stop.

    A null DVS is unknown: it blocks entries by its own gate and kills nothing.
    """
    if dvs is not None and dvs < constitution.dvs_kill_below:
        return KillCause.DATA_QUALITY, f"DVS {dvs:.4f} is below {constitution.dvs_kill_below}"
    if eqs < constitution.eqs_kill_below:
        return KillCause.EXECUTION_QUALITY, f"EQS {eqs:.4f} is below {constitution.eqs_kill_below}"
    return None


def margin_trigger(available_funds_usd: Decimal | None) -> tuple[KillCause, str] | None:
    """A margin call: the broker says that available funds are negative."""
    if available_funds_usd is None or available_funds_usd >= 0:
        return None
    return KillCause.MARGIN_CALL, f"available funds are {available_funds_usd} USD"


def connection_trigger(
    down_since: datetime | None, *, at: datetime, has_exposure: bool, rules: ExecutionRules
) -> tuple[KillCause, str] | None:
    """A connection lost for too long while there is a position or an order that may fill."""
    if down_since is None or not has_exposure:
        return None
    if at - down_since <= timedelta(seconds=rules.connection_lost_seconds_max):
        return None
    text = (
        f"no connection since {down_since.isoformat()} with a position open; "
        f"at most {rules.connection_lost_seconds_max} s are allowed"
    )
    return KillCause.CONNECTION_LOST, text


def position_trigger(position: int, constitution: Constitution) -> tuple[KillCause, str] | None:
    """More contracts held than the constitution allows."""
    if abs(position) <= constitution.contracts_max:
        return None
    return (
        KillCause.CONSTITUTION_BREACH,
        f"{position} contracts are held; at most {constitution.contracts_max} are allowed",
    )
