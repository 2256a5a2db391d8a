"""One desk in the Dagster UI: it has worked through some sessions and is about to trade one.

It trades a simulated gateway that plays in this process, through the adapter, in runs of their own,
as on any other day.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from browser import launch, start, status_of
from desk_up import DeskUp, desk_up
from lineage import RANGE_FIRST, RANGE_LAST

from contracts import load_rules
from contracts.calendar import session_on
from engine.generator import generate_bars
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import running_gateway
from pipelines.session.heartbeat import Heartbeat
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

FIRST, LAST = "2024-06-26", "2024-07-03"
"""The sessions that are worked through; the half day at their end is rehearsed."""

DAY = "2024-07-05"
"""The session that is traded."""

SPEED = 12.0
"""A minute of the market in five seconds of ours: the session outlasts its tests."""

PARTITION = {"dagster/partition": DAY}
LOG = """
query Log($id: ID!, $cursor: String) { logsForRun(runId: $id, afterCursor: $cursor) {
  ... on EventConnection { cursor events { __typename ... on MessageEvent { message }
    ... on ExecutionStepFailureEvent { error { message } } } } } }
"""
TERMINATE = """
mutation End($id: String!) { terminateRun(runId: $id) { __typename } }
"""


@dataclass(frozen=True)
class UiDesk:
    """A desk that is up, the settings it runs under, and the ids of its first runs."""

    desk: DeskUp
    wiring: Wiring
    market_day: str
    rehearsal: str

    def start_session(self) -> str:
        config = {"ops": {"play_session": {"config": {"is_rehearsal": False}}}}
        return start(self.desk, "trading_session", PARTITION, config=config)

    def terminate(self, run_id: str) -> None:
        self.desk.ask(TERMINATE, id=run_id)

    def wait_for_line(self, run_id: str, words: str, seconds: float = 90.0) -> str:
        """The first line of the run's log that holds the words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.desk.ask(LOG, id=run_id, cursor=None)["logsForRun"]
            lines = [
                f"{event.get('message', '')} {event.get('error') or ''}"
                for event in answer["events"]
            ]
            found = [line for line in lines if words in line]
            if found:
                return str(found[0])
            assert status_of(self.desk, run_id) != "FAILURE", lines[-5:]
            time.sleep(0.3)
        raise AssertionError(f"the run did not say {words!r}: {lines[-5:]}")

    @property
    def beat(self) -> Heartbeat:
        beat = Heartbeat.read(self.wiring.session_files.heartbeat)
        assert beat is not None
        return beat


@contextmanager
def ui_desk(home: Path) -> Iterator[UiDesk]:
    """Start it, let it work through its sessions, and end whatever is left of it."""
    rules = load_rules()
    bars = generate_bars([session_on(date.fromisoformat(DAY), rules.session)], 7, rules.instrument)
    with running_gateway(bars.bars, rules, GatewaySettings(pace=Pace.of(SPEED))) as gateway:
        environ = {"CREDENCE_MODE": "paper", "CREDENCE_IBKR_PORT": str(gateway.address.port)}
        wiring = Wiring(settings=load_settings({**environ, "CREDENCE_HOME": str(home)}))
        with desk_up(home, environ) as desk:
            desk.wait_for("Credence is at")
            market_day = launch(desk, "market_day", {RANGE_FIRST: FIRST, RANGE_LAST: LAST})
            config = {"ops": {"play_session": {"config": {"equity_usd": 10_000.0}}}}
            rehearsal = launch(desk, "rehearse_session", {"dagster/partition": LAST}, config=config)
            yield UiDesk(desk, wiring, market_day, rehearsal)
