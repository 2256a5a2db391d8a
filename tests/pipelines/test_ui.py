"""What a person sees: the UI in a real browser, and a session watched, ended and struck down.

The tests tell one story on one desk, in this order. Set SCREENSHOTS_TO to a folder to keep pictures
of the pages, for example docs/images.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from browser import REPOSITORY, Browser, chromium, launch, status_of, wait_for_end
from desk_up import still_working
from ui_desk import DAY, LAST, PARTITION, UiDesk, ui_desk

from engine.errors import InstanceBusy
from engine.journal import Kind
from engine.kill import KillState
from pipelines.dagster_home import is_up
from pipelines.session.heartbeat import RunState
from pipelines.up import STOP_SECONDS_MAX, run_up

pytestmark = pytest.mark.slow

ASSETS = """
{ assetNodes {
    assetKey { path } groupName description kinds hasAssetChecks
    assetMaterializations(limit: 1) { runId }
    assetChecksOrError { ... on AssetChecks { checks {
      name blocking description executionForLatestMaterialization { status } } } } } }
"""
SCHEDULES = """
query Schedules($repository: RepositorySelector!) {
  schedulesOrError(repositorySelector: $repository) {
    ... on Schedules { results { name description } } } }
"""
SENSORS = """
query Sensors($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { name description sensorState { status } } } } }
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiDesk]:
    with ui_desk(tmp_path_factory.mktemp("ui") / "home") as desk:
        yield desk


@pytest.fixture(scope="module")
def session(up: UiDesk) -> str:
    """A run that trades the session after a green preopen; its id."""
    assert status_of(up.desk, launch(up.desk, "preopen", PARTITION)) == "SUCCESS"
    return up.start_session()


@pytest.fixture(scope="module")
def browser(up: UiDesk, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return chromium(up.desk, tmp_path_factory.mktemp("browser"))


def test_the_runs_succeed_and_every_check_has_passed(up: UiDesk) -> None:
    statuses = [status_of(up.desk, run) for run in (up.market_day, up.rehearsal)]
    nodes = {node["assetKey"]["path"][0]: node for node in up.desk.ask(ASSETS)["assetNodes"]}

    checks = {
        check["name"]: check
        for node in nodes.values()
        if node["assetMaterializations"]
        for check in node["assetChecksOrError"]["checks"]
    }
    passed = {
        name
        for name, check in checks.items()
        if (check["executionForLatestMaterialization"] or {}).get("status") == "SUCCEEDED"
    }

    assert statuses == ["SUCCESS", "SUCCESS"]
    assert set(checks) - passed == {"preopen_review"}  # It belongs to the morning's job.
    assert all(check["blocking"] and check["description"] for check in checks.values())
    assert all(node["description"] and node["kinds"] for node in nodes.values())
    assert nodes["session_context"]["groupName"] == "context"


def test_a_check_can_be_executed_on_its_own_for_one_session(up: UiDesk) -> None:
    run_id = launch(
        up.desk,
        "__ASSET_JOB",
        {"dagster/partition": LAST},
        checks=[("signals", "signals_equal_recomputed"), ("decisions", "journal_chain")],
    )

    assert status_of(up.desk, run_id) == "SUCCESS"


def test_both_schedules_say_when_and_what(up: UiDesk) -> None:
    answer = up.desk.ask(SCHEDULES, repository=REPOSITORY)["schedulesOrError"]["results"]

    said = {schedule["name"]: schedule["description"] for schedule in answer}

    assert said["market_day_schedule"].startswith("08:15 and 18:15 New York")
    assert said["preopen_schedule"].startswith("08:30 New York on session days")


def test_nothing_scary_is_logged(up: UiDesk) -> None:
    logs = {
        path.stem: path.read_text() for path in (up.desk.home / "dagster" / "logs").glob("*.log")
    }

    assert set(logs) == {"code-server", "daemon", "webserver"}
    scary = ("Warning", "WARNING", "ERROR", "Traceback")
    assert [name for name, text in logs.items() if any(word in text for word in scary)] == []


PAGES = {
    "lineage": (
        "/asset-groups",
        "1700,800",
        ("bars", "context", "quality", "signals", "candidates", "trading_session", "warehouse"),
    ),
    "checks": (
        "/assets/signals?view=checks&checkDetail=signals_equal_recomputed",
        "1500,900",
        ("signals_are_causal", "Succeeded", "blocking", "recomputed, equal to the bit"),
    ),
    "trading_session": (
        f"/assets/trading_session?view=partitions&partition={LAST}",
        "1500,1000",
        ("Materialized", "net_usd", "BELIEF_TOO_LOW", "Show Markdown", "why_not"),
    ),
    "run": (
        "/runs/{rehearsal}",
        "1500,900",
        ("Success", "rehearse_session", "play_session", "decisions_journal_chain"),
    ),
}


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_a_person_looks_for(
    browser: Browser, up: UiDesk, page: str, tmp_path: Path
) -> None:
    address, size, expected = PAGES[page]
    address = address.format(rehearsal=up.rehearsal)

    text = browser.text_of(address)

    assert [words for words in expected if words not in text] == []
    target = Path(os.environ.get("SCREENSHOTS_TO", tmp_path)).resolve()
    if target != tmp_path:
        browser.picture_of(address, target / f"{page}.png", size)


def test_the_session_sensor_is_off_and_the_watch_is_on(up: UiDesk) -> None:
    answer = up.desk.ask(SENSORS, repository=REPOSITORY)["sensorsOrError"]["results"]

    states = {sensor["name"]: sensor["sensorState"]["status"] for sensor in answer}

    assert states["session_sensor"] == "STOPPED"
    assert {name for name, state in states.items() if state == "RUNNING"} == {
        *("watchdog", "failed_run_alerts", "failed_check_alerts"),
    }
    assert all(sensor["description"] for sensor in answer)


def test_a_session_streams_its_decisions(up: UiDesk, session: str, tmp_path: Path) -> None:
    up.wait_for_line(session, f"session {DAY} of MES opened (paper)")
    up.wait_for_line(session, "ET skip: ")

    _look(up, session, tmp_path)


def _look(up: UiDesk, run_id: str, tmp_path: Path) -> None:
    """The run in a browser; kept as a picture where one is asked for."""
    browser = chromium(up.desk, tmp_path)
    page = f"/runs/{run_id}"
    text = browser.text_of(page)
    expected = ("Started", "trading_session", "play_session", "opened (paper)", "ET skip: ")
    assert [words for words in expected if words not in text] == []
    target = Path(os.environ.get("SCREENSHOTS_TO", tmp_path)).resolve()
    if target != tmp_path:
        browser.picture_of(page, target / "session_run.png", "1500,1000")


def test_a_run_that_was_struck_down_is_followed_by_one_that_obeys_and_can_be_terminated(
    up: UiDesk, session: str
) -> None:
    os.kill(up.beat.pid, signal.SIGKILL)
    struck = wait_for_end(up.desk, session)

    following = up.start_session()
    up.wait_for_line(following, "market data live")
    lever = {"ops": {"kill_and_flatten_lever": {"config": {"reason": "a look at the news"}}}}
    killed = launch(up.desk, "kill_and_flatten", {}, config=lever)
    switch = up.wiring.kill_switch()
    asked_at = time.monotonic()
    up.terminate(following)
    ended = wait_for_end(up.desk, following)

    assert time.monotonic() - asked_at < 40
    assert (struck, ended) == ("FAILURE", "CANCELED")
    assert (up.beat.run, up.beat.position) == (RunState.STOPPED, 0)
    assert status_of(up.desk, killed) == "SUCCESS"
    assert (switch.state, switch.text) == (KillState.KILLED, "a look at the news")
    assert switch.is_flat_verified
    causes = [
        json.loads(event.payload).get("cause")
        for event in up.wiring.session_journals.events(date.fromisoformat(DAY), Kind.RECONCILIATION)
    ]
    assert causes.count("session open") >= 2  # Each of the two runs compared before it acted.


def test_a_second_desk_is_refused_and_the_first_ends_with_everything_it_started(
    up: UiDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of the module: it ends the desk that the others looked at."""
    desk = up.desk
    family = desk.family()
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(InstanceBusy, match="another `credence up` holds its lock"):
        run_up(desk.home, port=1, say=print)

    asked_at = time.monotonic()
    code = desk.ends(signal.SIGTERM)

    assert code == 0
    assert time.monotonic() - asked_at < STOP_SECONDS_MAX
    assert len(family) >= 3
    assert still_working(family) == []
    assert not is_up(desk.home)
