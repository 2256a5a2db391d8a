"""A session as a person has it in the UI: launched, watched, terminated, struck down, killed.

The desk trades a simulated gateway that plays in this process, through the adapter, in a run of its
own, as on any other day.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from browser import REPOSITORY, chromium, launch, start, status_of, wait_for_end
from desk_up import DeskUp, desk_up
from lineage import RANGE_FIRST, RANGE_LAST

from contracts import load_rules
from contracts.calendar import session_on
from engine.generator import generate_bars
from engine.journal import Kind
from engine.kill import KillState
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import running_gateway
from pipelines.session.heartbeat import Heartbeat, RunState
from pipelines.session_outlook import desk_switch
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

pytestmark = pytest.mark.slow

FIRST, DAY = "2024-06-26", "2024-07-05"
PARTITION = {"dagster/partition": DAY}
SPEED = 12.0
"""A minute of the market in five seconds of ours: the session outlasts this test."""

LOG = """
query Log($id: ID!, $cursor: String) { logsForRun(runId: $id, afterCursor: $cursor) {
  ... on EventConnection { cursor events { __typename ... on MessageEvent { message }
    ... on ExecutionStepFailureEvent { error { message } } } } } }
"""
TERMINATE = """
mutation End($id: String!) { terminateRun(runId: $id) { __typename } }
"""
SENSORS = """
query Sensors($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { name description sensorState { status } } } } }
"""


@dataclass
class Trading:
    """A desk that is up, and the settings it runs under."""

    desk: DeskUp
    wiring: Wiring

    def start(self) -> str:
        config = {"ops": {"play_session": {"config": {"is_rehearsal": False}}}}
        return start(self.desk, "trading_session", PARTITION, config=config)

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


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    rules = load_rules()
    bars = generate_bars([session_on(date.fromisoformat(DAY), rules.session)], 7, rules.instrument)
    home = tmp_path_factory.mktemp("trading") / "home"
    with running_gateway(bars.bars, rules, GatewaySettings(pace=Pace.of(SPEED))) as gateway:
        environ = {"CREDENCE_MODE": "paper", "CREDENCE_IBKR_PORT": str(gateway.address.port)}
        wiring = Wiring(settings=load_settings({**environ, "CREDENCE_HOME": str(home)}))
        with desk_up(home, environ) as desk:
            desk.wait_for("Credence is at")
            history = {RANGE_FIRST: FIRST, RANGE_LAST: "2024-07-03"}
            assert status_of(desk, launch(desk, "market_day", history)) == "SUCCESS"
            yield Trading(desk, wiring)


def test_the_session_sensor_is_off_and_the_watch_is_on(trading: Trading) -> None:
    answer = trading.desk.ask(SENSORS, repository=REPOSITORY)["sensorsOrError"]["results"]

    states = {sensor["name"]: sensor["sensorState"]["status"] for sensor in answer}

    assert states["session_sensor"] == "STOPPED"
    assert {name for name, state in states.items() if state == "RUNNING"} == {
        *("watchdog", "failed_run_alerts", "failed_check_alerts"),
    }
    assert all(sensor["description"] for sensor in answer)


def test_before_a_green_preopen_a_launch_by_hand_is_refused(trading: Trading) -> None:
    run_id = trading.start()

    assert wait_for_end(trading.desk, run_id) == "FAILURE"
    assert not trading.wiring.journal.exists()


def test_a_session_streams_its_decisions_and_ends_flat_when_it_is_terminated(
    trading: Trading, tmp_path: Path
) -> None:
    assert status_of(trading.desk, launch(trading.desk, "preopen", PARTITION)) == "SUCCESS"
    run_id = trading.start()
    trading.wait_for_line(run_id, f"session {DAY} of MES opened (paper)")
    trading.wait_for_line(run_id, "ET skip: ")

    _look(trading, run_id, tmp_path)
    asked_at = time.monotonic()
    trading.desk.ask(TERMINATE, id=run_id)
    status = wait_for_end(trading.desk, run_id)

    assert status == "CANCELED"
    assert time.monotonic() - asked_at < 40
    assert (trading.beat.run, trading.beat.position) == (RunState.STOPPED, 0)


def _look(trading: Trading, run_id: str, tmp_path: Path) -> None:
    """The run in a browser; kept as a picture where one is asked for."""
    browser = chromium(trading.desk, tmp_path)
    page = f"/runs/{run_id}"
    text = browser.text_of(page)
    expected = ("Started", "trading_session", "play_session", "opened (paper)", "ET skip: ")
    assert [words for words in expected if words not in text] == []
    target = Path(os.environ.get("SCREENSHOTS_TO", tmp_path)).resolve()
    if target != tmp_path:
        browser.picture_of(page, target / "session_run.png", "1500,1000")


def test_a_run_that_was_struck_down_is_followed_by_one_that_reconciles(trading: Trading) -> None:
    struck = trading.start()
    trading.wait_for_line(struck, "ET skip: ")
    os.kill(trading.beat.pid, signal.SIGKILL)
    status = wait_for_end(trading.desk, struck)

    following = trading.start()
    trading.wait_for_line(following, "market data live")
    halt = launch(trading.desk, "halt", {}, config=_reason("halt", "a look at the news"))
    halted = desk_switch(trading.wiring)
    resume = launch(trading.desk, "resume", {}, config=_reason("resume", "seen"))
    killed = launch(trading.desk, "kill_and_flatten", {}, config=_reason("kill_and_flatten", "x"))
    switch = desk_switch(trading.wiring)
    trading.desk.ask(TERMINATE, id=following)

    assert status == "FAILURE"
    assert [status_of(trading.desk, run) for run in (halt, resume, killed)] == ["SUCCESS"] * 3
    assert (halted.state, halted.text) == (KillState.HALTED, "a look at the news")
    assert (switch.state, switch.is_flat_verified) == (KillState.KILLED, True)
    wait_for_end(trading.desk, following)
    causes = [
        json.loads(event.payload).get("cause")
        for event in trading.wiring.session_journals.events(
            date.fromisoformat(DAY), Kind.RECONCILIATION
        )
    ]
    assert causes.count("session open") >= 3  # Each of the three runs compared before it acted.


def _reason(job: str, reason: str) -> dict[str, object]:
    return {"ops": {f"{job}_lever": {"config": {"reason": reason}}}}
