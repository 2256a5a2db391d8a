"""A simulated exchange: matching on bars and quotes, brackets, OCA, fees, slippage, seeded faults.

`Exchange` is a mutable object with an explicit, JSON-able state: replay steps it hundreds of
thousands of times, and a restart test can stop it anywhere and go on. Its randomness is its seed.
"""

from engine.exchange.book import ExchangeSettings, exchange_settings
from engine.exchange.exchange import ALIEN_REF, Exchange
from engine.exchange.faults import NO_FAULTS, FaultKind, FaultPlan
from engine.exchange.matching import ExchangeBar, PriceBar
from engine.exchange.single_orders import PlaceOrder, ReplaceOrder

__all__ = [
    "ALIEN_REF",
    "NO_FAULTS",
    "Exchange",
    "ExchangeBar",
    "ExchangeSettings",
    "FaultKind",
    "FaultPlan",
    "PlaceOrder",
    "PriceBar",
    "ReplaceOrder",
    "exchange_settings",
]
