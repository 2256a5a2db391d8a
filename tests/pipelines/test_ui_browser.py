"""What a person sees: the UI in a real browser, on a desk that has worked through some sessions.

Set SCREENSHOTS_TO to a folder to keep pictures of the pages, for example docs/images.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import REPOSITORY, Browser, chromium, launch, status_of
from desk_up import DeskUp, desk_up, still_working

from engine.errors import InstanceBusy
from pipelines.dagster_home import is_up
from pipelines.up import STOP_SECONDS_MAX, run_up

pytestmark = pytest.mark.slow

FIRST, LAST = "2024-06-26", "2024-07-05"
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
RANGE = {
    "dagster/asset_partition_range_start": FIRST,
    "dagster/asset_partition_range_end": LAST,
}


@dataclass(frozen=True)
class Worked:
    """A desk after its market day and a rehearsal, and the ids of the runs."""

    desk: DeskUp
    market_day: str
    rehearsal: str


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    with desk_up(tmp_path_factory.mktemp("ui") / "home") as desk:
        desk.wait_for("Credence is at")
        market_day = launch(desk, "market_day", RANGE)
        config = {"ops": {"play_session": {"config": {"equity_usd": 10_000.0}}}}
        rehearsal = launch(desk, "rehearse_session", {"dagster/partition": LAST}, config=config)
        yield Worked(desk, market_day, rehearsal)


@pytest.fixture(scope="module")
def browser(worked: Worked, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return chromium(worked.desk, tmp_path_factory.mktemp("browser"))


def test_the_runs_succeed_and_every_check_has_passed(worked: Worked) -> None:
    statuses = [status_of(worked.desk, run) for run in (worked.market_day, worked.rehearsal)]
    nodes = {node["assetKey"]["path"][0]: node for node in worked.desk.ask(ASSETS)["assetNodes"]}

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


def test_a_check_can_be_executed_on_its_own_for_one_session(worked: Worked) -> None:
    run_id = launch(
        worked.desk,
        "__ASSET_JOB",
        {"dagster/partition": LAST},
        checks=[("signals", "signals_equal_recomputed"), ("decisions", "journal_chain")],
    )

    assert status_of(worked.desk, run_id) == "SUCCESS"


def test_both_schedules_say_when_and_what(worked: Worked) -> None:
    answer = worked.desk.ask(SCHEDULES, repository=REPOSITORY)["schedulesOrError"]["results"]

    said = {schedule["name"]: schedule["description"] for schedule in answer}

    assert said["market_day_schedule"].startswith("08:15 and 18:15 New York")
    assert said["preopen_schedule"].startswith("08:30 New York on session days")


def test_nothing_scary_is_logged(worked: Worked) -> None:
    logs = {
        path.stem: path.read_text()
        for path in (worked.desk.home / "dagster" / "logs").glob("*.log")
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
    browser: Browser, worked: Worked, page: str, tmp_path: Path
) -> None:
    address, size, expected = PAGES[page]
    address = address.format(rehearsal=worked.rehearsal)

    text = browser.text_of(address)

    assert [words for words in expected if words not in text] == []
    target = Path(os.environ.get("SCREENSHOTS_TO", tmp_path)).resolve()
    if target != tmp_path:
        browser.picture_of(address, target / f"{page}.png", size)


def test_a_second_desk_is_refused_and_the_first_ends_with_everything_it_started(
    worked: Worked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of the module: it ends the desk that the others looked at."""
    desk = worked.desk
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
