"""What has to hold at every instant between the exchange and the desk."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from engine.broker import BrokerSnapshot, OrderKind, WorkingOrder
from engine.desk import DeskState
from engine.rules import Rules
from engine.trade import Trade
from engine.units import Side
from pipelines.campaign.audit import held_lots, is_ours
from pipelines.campaign.law import Law
from pipelines.campaign.minute_path import PART

_GRACE: Final = 2 * PART


class WorldSeen(NamedTuple):
    """One instant, with how long things have been as they are; null for not at all.

    `naked_since` a position has had no working stop of its size. `misplaced_since` a stop of ours
    has worked at another price than its trade's. `known_since` the desk knows of that position.
    `killed_since` the desk is killed and knows that something is held.
    `hearing_since` the desk is up, connected, and gets its questions answered. `foreign_lots` is
    the most that another hand ever held in this run.
    """

    at: datetime
    truth: BrokerSnapshot
    state: DeskState
    naked_since: datetime | None
    misplaced_since: datetime | None
    known_since: datetime | None
    hearing_since: datetime | None
    late_since: datetime | None
    killed_since: datetime | None
    is_flattening: bool
    foreign_lots: int
    rules: Rules


def at_most_one_contract(seen: WorldSeen) -> str | None:
    """One contract is held at most, beyond what another hand has put there."""
    held = held_lots(seen.truth)
    return f"{held} contracts are held" if abs(held) > 1 + seen.foreign_lots else None


def position_is_protected(seen: WorldSeen) -> str | None:
    """A position the desk knows of has its stop within the stated seconds, or is flattened."""
    within = timedelta(seconds=seen.rules.execution.protect_within_seconds) + _GRACE
    return _naked(seen, seen.known_since, within, "known and unprotected")


def position_is_noticed(seen: WorldSeen) -> str | None:
    """A position nobody told us of is found by the routine reconciliation, and dealt with."""
    law = seen.rules.execution
    routine = law.reconcile_seconds if seen.state.is_exposed else law.reconcile_flat_seconds
    patience = routine + law.protect_within_seconds + law.flatten_verify_seconds
    within = timedelta(seconds=patience) + 2 * _GRACE
    return _naked(seen, seen.naked_since, within, "unnoticed and unprotected")


def _naked(seen: WorldSeen, since: datetime | None, within: timedelta, what: str) -> str | None:
    if seen.naked_since is None or since is None or seen.hearing_since is None:
        return None
    since = max(seen.naked_since, since, seen.hearing_since)
    if seen.at - since > within and not seen.is_flattening:
        return f"{held_lots(seen.truth)} held, {what} since {since:%H:%M:%S}, at {seen.at:%H:%M:%S}"
    return None


def stop_is_where_it_belongs(seen: WorldSeen) -> str | None:
    """A stop works at the price its trade has, or the next reconciliation brings it there."""
    if seen.misplaced_since is None or seen.hearing_since is None or seen.is_flattening:
        return None
    law, since = seen.rules.execution, max(seen.misplaced_since, seen.hearing_since)
    patience = law.reconcile_seconds + law.protect_within_seconds + law.flatten_verify_seconds
    if seen.at - since > timedelta(seconds=patience) + 2 * _GRACE:
        return f"a stop has worked at another price than its trade's since {since:%H:%M:%S}"
    return None


def nothing_is_held_late(seen: WorldSeen) -> str | None:
    """Past the flatten time a position is closed, or being closed."""
    return _held_on(seen, seen.late_since, "past the flatten time")


def a_kill_is_flattened(seen: WorldSeen) -> str | None:
    """What is held after a kill is closed, or being closed; a stop at rest is not enough."""
    return _held_on(seen, seen.killed_since, "by a killed desk")


def _held_on(seen: WorldSeen, since: datetime | None, what: str) -> str | None:
    """Whether something has been held for longer than a routine look and its answer take."""
    if since is None or seen.hearing_since is None or seen.is_flattening:
        return None
    since = max(since, seen.hearing_since)
    law = seen.rules.execution
    within = timedelta(seconds=law.flatten_verify_seconds + law.reconcile_seconds) + 2 * _GRACE
    if seen.at - since > within:
        return f"{held_lots(seen.truth)} held {what} since {since:%H:%M:%S}"
    return None


def covering_stops(truth: BrokerSnapshot) -> list[WorkingOrder]:
    """Working stops that would reduce the position."""
    held = held_lots(truth)
    out = Side.SHORT if held > 0 else Side.LONG
    return [
        order
        for order in truth.working
        if order.kind is OrderKind.STOP_MARKET and order.side is out and not order.is_held
    ]


def is_misplaced(truth: BrokerSnapshot, trade: Trade | None) -> bool:
    """Whether a stop of ours works at another price than its trade's."""
    return trade is not None and any(
        stop.ref is not None and is_ours(stop.ref) and stop.price_ticks != trade.stop_price_ticks
        for stop in covering_stops(truth)
    )


def is_covered(truth: BrokerSnapshot) -> bool:
    """Whether nothing is held, or stops of at least its size work for all of it."""
    held = abs(held_lots(truth))
    return held == 0 or sum(order.quantity for order in covering_stops(truth)) >= held


WORLD_LAWS: Final[tuple[Law[WorldSeen], ...]] = (
    at_most_one_contract,
    position_is_protected,
    position_is_noticed,
    stop_is_where_it_belongs,
    nothing_is_held_late,
    a_kill_is_flattened,
)
