"""The broker of a rehearsal: the very adapter that trades, connected to a simulated IB Gateway."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.broker import LiveBroker
from engine.rules import Rules
from pipelines.desk_sessions import Stage


@contextmanager
def gateway_broker(stage: Stage, rules: Rules) -> Iterator[LiveBroker]:
    """A gateway on free ports of this machine that plays the stage, and an adapter to it."""
    from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings
    from pipelines.gateway.assembly import GatewaySettings
    from pipelines.gateway.clock import Pace
    from pipelines.gateway.faults import GatewayPlan
    from pipelines.gateway.run import running_gateway

    settings = GatewaySettings(
        pace=Pace.of(stage.speed),
        session_dates=(stage.session_date,),
        equity_usd=stage.equity_usd,
        plan=GatewayPlan(seed=stage.seed),
    )
    with running_gateway(stage.bars, rules, settings) as gateway:
        address = gateway.address
        yield IbkrBroker(
            IbkrSettings(host=address.host, port=address.port, clock=ClockKind.TOLD), rules
        )
