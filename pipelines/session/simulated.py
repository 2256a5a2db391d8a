"""The simulated live broker of a session: its stored bars, and an exchange that outlives us."""

from decimal import Decimal
from typing import Final

from assets.ports import MarketStore
from engine.calendar import Session
from engine.errors import InputRefused
from engine.exchange import exchange_settings
from engine.rules import Rules
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.simulated_live import SimulatedLiveBroker
from pipelines.gateway.tape import minutes_of
from pipelines.session.files import SessionFiles

EQUITY_USD: Final = Decimal(10_000)


def simulated_broker(
    session: Session,
    *,
    rules: Rules,
    market: MarketStore,
    files: SessionFiles,
    seconds_per_minute: float = 0.0,
) -> SimulatedLiveBroker:
    """A broker that plays the stored bars of a session; raises `InputRefused` without any.

    The exchange is kept in the data home: it outlives the process, as a broker's books do.
    """
    symbol, day = rules.instrument.symbol, session.session_date
    bars = market.read("bars", symbol, day, day)
    if not bars.height:
        raise InputRefused(
            f"--broker simulated expected stored bars of {symbol} on {day}, found none; bring them "
            f"in: credence ingest generator:7 --from {day} --to {day}"
        )
    return SimulatedLiveBroker(
        KeptExchange(exchange_settings(rules, EQUITY_USD), files.exchange(symbol, day)),
        minutes_of(bars),
        rules.instrument,
        starts_at=session.opens_at,
        seconds_per_minute=seconds_per_minute,
    )
