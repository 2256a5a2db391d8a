"""From a command of the desk to the verb of the port that carries it out."""

from datetime import datetime
from typing import assert_never

from engine.broker import (
    AccountReported,
    Broker,
    BrokerReport,
    BrokerSnapshot,
    CancelOrder,
    Command,
    FlattenPosition,
    PlaceBracket,
    PlaceProtection,
    QueryBroker,
    ReplaceStop,
)


def carry_out(
    broker: Broker, command: Command, at: datetime, unsettled_since: datetime | None = None
) -> tuple[BrokerReport, ...]:
    """Send one command and return the reports that are its answer; only a query has any.

    `unsettled_since` is that of `take_stock`.
    Errors of the broker pass through: `BrokerUnreachable`, `BrokerTimeout`, `DuplicateOrderRef`.
    """
    match command:
        case PlaceBracket():
            broker.place_bracket(command)
        case PlaceProtection():
            broker.place_protection(command)
        case ReplaceStop():
            broker.replace(command)
        case CancelOrder():
            broker.cancel(command)
        case FlattenPosition():
            broker.flatten(command)
        case QueryBroker():
            return take_stock(broker, at, unsettled_since)
        case _:
            assert_never(command)
    return ()


def take_stock(
    broker: Broker, at: datetime, unsettled_since: datetime | None = None
) -> tuple[AccountReported, BrokerSnapshot]:
    """Money and the whole truth at the broker, or an error: a part is never passed off as all.

    Executions are asked for since midnight, or since what is still open in our books: a position
    that was left may have been closed on a day before, and some brokers tell of that.
    The answers come one after the other, positions last: a fill in between is in the executions and
    the position, and missing from the orders.
    """
    account = broker.account()
    snapshot = BrokerSnapshot(
        at=at,
        working=tuple(broker.open_orders()),
        completed=tuple(broker.completed_orders()),
        executions=tuple(broker.executions(min(_midnight(at), unsettled_since or at))),
        positions=tuple(broker.positions()),
    )
    return account, snapshot


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
