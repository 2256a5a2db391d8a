"""Interactive Brokers: an adapter over `ib_insync` (or `ib_async`) for unattended trading.

`client_library` is the only module that imports the library; what it tells is sorted by `broker`
into orders, questions, market and link, each of which can be tested without a socket.
"""

from pipelines.brokers.ibkr.broker import IbkrBroker
from pipelines.brokers.ibkr.client_library import Library
from pipelines.brokers.ibkr.market_clock import ClockKind
from pipelines.brokers.ibkr.settings import IbkrSettings, Patience, ibkr_settings

__all__ = ["ClockKind", "IbkrBroker", "IbkrSettings", "Library", "Patience", "ibkr_settings"]
