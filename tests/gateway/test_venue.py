"""What the venue gives to orders that arrive between two bars."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from exchange_tables import settings
from hand_fed import BASE, HandFedMarket

from engine.units import Side
from pipelines.gateway.market import Switches
from pipelines.gateway.order_desk import OrderDesk
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.venue import Venue


@pytest.mark.parametrize(
    ("side", "limit_ticks", "paid_ticks"), [(Side.LONG, 9, 2), (Side.SHORT, -9, -2)]
)
def test_an_order_that_meets_no_quote_pays_the_expected_slippage(
    side: Side, limit_ticks: int, paid_ticks: int
) -> None:
    market = HandFedMarket()
    costs = replace(settings(latency_ms=0), slippage_ticks=1.5, bar_seconds=5)
    venue = Venue(market, replace(costs, deposit_usd=Decimal(10_000)), Switches())
    opens_at = market.at
    market.at += timedelta(seconds=5)
    prices = (BASE, BASE, BASE, BASE)
    venue.on_five_second_bar(TapeBar("MES", opens_at, market.at, *prices, 10, None, None, None))

    OrderDesk(venue).place_by_hand(side, 1, BASE + limit_ticks)

    executions = venue.exchange.truth(market.at).executions
    assert [fill.price_ticks for fill in executions] == [BASE + paid_ticks]
