"""Whom a desk trades with: its broker, or under OBSERVE a shadow beside it."""

from decimal import Decimal
from typing import Final

from engine.broker import LiveBroker
from engine.desk import Mode
from engine.exchange import exchange_settings
from engine.rules import Rules
from pipelines.brokers.exchange_orders import KeptExchange
from pipelines.brokers.observed import ObservedBroker
from pipelines.session.files import SessionFiles

SHADOW_DEPOSIT_USD: Final = Decimal(10_000)
"""What the shadow's own books begin with; the desk is told the real account's money."""


def seen_by(mode: Mode, broker: LiveBroker, files: SessionFiles, rules: Rules) -> LiveBroker:
    """The broker as a mode sees it: under OBSERVE its market is real and its orders are not.

    Whoever acts for a desk asks here first. Raises `InputRefused` for a shadow it cannot read.
    """
    if mode is not Mode.OBSERVE:
        return broker
    settings = exchange_settings(rules, SHADOW_DEPOSIT_USD)
    kept = KeptExchange(settings, files.shadow(rules.instrument.symbol))
    return ObservedBroker(broker, kept, rules.instrument)
