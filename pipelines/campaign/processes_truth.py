"""What the gateway's own books say of a session, asked in the gateway's process."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.broker import BrokerSnapshot
from pipelines.gateway.assembly import Gateway
from pipelines.gateway.run import RunningGateway
from pipelines.timed_gateway import Readings


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTruth:
    """Orders, executions, positions and money of the account, whatever any client believes.

    `refs`: how many orders came with each ref. `executions`: their ids. `earned_usd` is what the
    account moved by since it was opened.
    """

    snapshot: BrokerSnapshot
    refs: Counter[str]
    executions: Counter[str]
    earned_usd: Decimal


def truth_of(gateway: RunningGateway, _readings: Readings) -> BrokerTruth:
    """The truth now."""
    return gateway.call(_truth)


def market_now(gateway: RunningGateway, _readings: Readings) -> datetime:
    """The time of its market."""
    return gateway.call(lambda each: each.clock.now())


def drop_sockets(gateway: RunningGateway, _readings: Readings) -> None:
    """Close every connection at once."""
    gateway.fault("disconnect")


def _truth(gateway: Gateway) -> BrokerTruth:
    now, venue = gateway.clock.now(), gateway.venue
    equity_usd = venue.exchange.account(now).equity_usd
    return BrokerTruth(
        snapshot=venue.exchange.truth(now),
        refs=Counter(order.request.order_ref for order in venue.books.orders.values()),
        executions=Counter(list(venue.books.fills)),
        earned_usd=(equity_usd or Decimal(0)) - venue.deposit_usd,
    )
