"""Session runs through the simulated IB Gateway, in this process or in one that can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
from replay_market import RULES, market
from session_stage import SESSIONS, session

from engine.broker import BrokerSnapshot
from pipelines.brokers.ibkr import ClockKind, IbkrBroker, IbkrSettings
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.run import RunningGateway, running_gateway

PROCESS = Path(__file__).with_name("session_process.py")
PATHS = (PROCESS.parent, PROCESS.parents[1], PROCESS.parents[2])
PATIENCE_SECONDS = 120.0


@contextmanager
def session_gateway() -> Iterator[RunningGateway]:
    """A gateway that plays the session as fast as its client keeps up."""
    known = market(SESSIONS).bars.filter(pl.col("session_date") <= session().session_date)
    settings = GatewaySettings(session_dates=(session().session_date,), equity_usd=Decimal(5000))
    with running_gateway(known, RULES, settings) as gateway:
        yield gateway


def ibkr_broker(gateway: RunningGateway) -> IbkrBroker:
    return IbkrBroker(IbkrSettings(port=gateway.address.port, clock=ClockKind.TOLD), RULES)


def truth(gateway: RunningGateway) -> BrokerSnapshot:
    """What the exchange behind the gateway itself knows."""
    return gateway.call(
        lambda each: each.venue.exchange.truth(each.clock.now() + timedelta(seconds=1))
    )


class SessionProcess:
    """A session run in a process of its own; `dies_at` is where it strikes itself down."""

    def __init__(
        self, home: Path, gateway: RunningGateway, *, dies_at: str = "never", stops_at: str = ""
    ) -> None:
        arguments = [str(home), str(gateway.address.port), dies_at, stops_at]
        self.process = subprocess.Popen(
            [sys.executable, str(PROCESS), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))},
        )

    def wait(self) -> tuple[int, list[str]]:
        """Exit code and lines; the process is bounded."""
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out.splitlines()

    def wait_for(self, words: str) -> str:
        """The first line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"the session ended without saying {words!r}")


STRUCK_DOWN = -signal.SIGKILL
