"""The checklist gives a tick only to what it saw; each probe is seen failing on its own subject."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from alert_listener import PASSWORD, Listener, listening
from lineage import tamper

from contracts import load_rules
from contracts.calendar import session_on
from contracts.reading import FOLDER
from engine.broker import LiveBroker
from engine.desk import DeskState, Mode
from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised
from engine.generator import generate_bars
from engine.journal import Stamp
from pipelines.checklist.broker import SKEW_SECONDS_MAX, Bounds, BrokerProbes
from pipelines.checklist.line import Failed, Line, Passed, Skipped, Verdict
from pipelines.checklist.machine import disk_keeps
from pipelines.checklist.run import QUESTIONS, checklist, has_passed, keep_record
from pipelines.commands.checklist import counted, run_checklist
from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.clock import Pace
from pipelines.gateway.run import RunningGateway, running_gateway
from pipelines.journal_store import JournalWriter
from pipelines.session.authority import ChecklistRecord
from pipelines.session.code_version import code_version
from pipelines.session.lock import session_lock
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

DAY = date(2024, 7, 10)
RULES = load_rules()
IMPATIENT = Bounds(data_seconds=6.0, order_seconds=1.0, drill_seconds=3.0)
NEVER_AT_A_GATEWAY = {"clock"}
"""A gateway plays the market of another day; our clock can only be compared with a real broker."""


@cache
def bars() -> pl.DataFrame:
    return generate_bars([session_on(DAY, RULES.session)], 7, RULES.instrument).bars


@dataclass
class Desk:
    """A desk on a home of its own, beside a gateway that plays at thirty times the clock."""

    wiring: Wiring
    gateway: RunningGateway

    def asked(self, bounds: Bounds = IMPATIENT) -> dict[str, Line]:
        return {line.probe: line for line in checklist(self.wiring, DAY, bounds)}

    def found(self, probe: str) -> tuple[Verdict, str]:
        line = self.asked()[probe]
        return line.verdict, line.evidence


@contextmanager
def desk(home: Path, settings: GatewaySettings | None = None, **environ: str) -> Iterator[Desk]:
    settings = settings or GatewaySettings()
    settings = replace(settings, pace=Pace.of(30), waits_for_subscriber=False)
    with running_gateway(bars(), RULES, settings) as gateway:
        wiring = wired(home, CREDENCE_IBKR_PORT=str(gateway.address.port), **environ)
        moved_at = session_on(DAY, RULES.session).opens_at + timedelta(seconds=10)
        eventually(lambda: gateway.call(lambda g: g.clock.now()) >= moved_at)
        yield Desk(wiring, gateway)


def eventually(is_so: Callable[[], bool]) -> None:
    """Return once the market in the other thread has moved so far."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wired(home: Path, **environ: str) -> Wiring:
    known = {"CREDENCE_HOME": str(home), "CREDENCE_MODE": "paper", **environ}
    return Wiring(
        settings=load_settings(known), clock=lambda: datetime(2024, 7, 10, 13, tzinfo=UTC)
    )


def passed(lines: dict[str, Line]) -> set[str]:
    return {name for name, line in lines.items() if line.verdict is Verdict.PASSED}


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as heard:
        yield heard


def test_a_sound_desk_earns_every_tick_that_a_gateway_can_give(
    tmp_path: Path, listener: Listener
) -> None:
    with desk(tmp_path, CREDENCE_ALERTS=listener.address) as sound:
        lines = sound.asked(Bounds())

    assert list(lines) == list(QUESTIONS)
    assert set(lines) - passed(lines) == NEVER_AT_A_GATEWAY
    assert lines["clock"].verdict is Verdict.SKIPPED
    assert lines["calendar"].evidence.startswith("2024-07-10, a full day 09:30 to 16:00 New York")
    assert lines["connection"].evidence.startswith("account DU1234567, broker time 2024-07-10 13:")
    assert "feed live" in lines["data"].evidence
    assert lines["bracket"].evidence.startswith("3 legs at ")
    assert "the broker says flat" in lines["kill drill"].evidence
    assert listener.titles == ["Credence checklist: a test"]


def test_what_could_not_be_asked_is_not_counted_as_failed() -> None:
    verdicts = {"clock": Verdict.SKIPPED, "alerts": Verdict.SKIPPED}
    lines = [
        Line(
            probe=name,
            question="",
            verdict=verdicts.get(name, Verdict.PASSED),
            evidence="",
            seconds=0.0,
        )
        for name in QUESTIONS
    ]

    told = counted(lines)
    with_a_failure = counted([replace(lines[0], verdict=Verdict.FAILED), *lines[1:]])

    assert told == "10 passed, 2 could not be asked: alerts, clock"
    assert with_a_failure.startswith(f"1 did not pass: {lines[0].probe}, 9 passed")


def test_a_skipped_line_keeps_the_whole_from_passing_and_the_record_says_so(
    tmp_path: Path,
) -> None:
    lines = [
        Line(probe=name, question="", verdict=Verdict.PASSED, evidence="", seconds=0.0)
        for name in QUESTIONS
    ]
    skipped = [*lines[:-1], replace(lines[-1], verdict=Verdict.SKIPPED)]
    wiring = wired(tmp_path)

    path = keep_record(wiring, DAY, skipped)

    assert has_passed(lines)
    assert not has_passed(skipped)
    assert not has_passed(lines[:-1])
    assert path == tmp_path / "checklist" / "2024-07-10.json"
    assert len(json.loads(path.read_text())["lines"]) == len(QUESTIONS)
    assert ChecklistRecord.read(wiring.session_files, DAY) == ChecklistRecord(
        session_date="2024-07-10",
        symbol="MES",
        code=code_version(),
        contracts_hash=wiring.rules.contracts_hash,
        passed=False,
    )


@dataclass(frozen=True)
class Broken(Wiring):
    """A desk whose broker's program breaks, or whose person does not wait for it."""

    error: BaseException = field(default_factory=AssertionError)

    def live_broker(self) -> LiveBroker:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), KeyboardInterrupt()])
def test_a_checklist_that_breaks_off_takes_back_the_one_that_passed(
    tmp_path: Path, error: BaseException
) -> None:
    wiring = wired(tmp_path)
    lines = [
        Line(probe=name, question="", verdict=Verdict.PASSED, evidence="", seconds=0.0)
        for name in QUESTIONS
    ]
    keep_record(wiring, DAY, lines)
    before = ChecklistRecord.read(wiring.session_files, DAY)

    with pytest.raises(type(error)):
        run_checklist(Broken(wiring.settings, wiring.clock, error), as_json=False)

    after = ChecklistRecord.read(wiring.session_files, DAY)
    assert before is not None
    assert after == replace(before, passed=False)
    assert before.passed


# ── The machine and the home ────────────────────────────────────────────────────────────────────


def test_refused_contracts_stop_everything_else(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py"))
    law = tmp_path / "contracts" / "constitution.yaml"
    text = law.read_text()
    law.write_text(text.replace("contracts_max: 1", "contracts_max: 50", 1))
    assert law.read_text() != text

    lines = list(checklist(wired(tmp_path, CREDENCE_CONTRACTS=str(law.parent)), DAY))

    assert (lines[0].probe, lines[0].verdict) == ("limits", Verdict.FAILED)
    assert "contracts_max" in lines[0].evidence
    assert {line.verdict for line in lines[1:]} == {Verdict.SKIPPED}
    assert [line.probe for line in lines] == list(QUESTIONS)


def unreachable(home: Path, day: date = DAY, **environ: str) -> dict[str, Line]:
    """What is found where no broker listens."""
    wiring = wired(home, CREDENCE_IBKR_PORT="9", **environ)
    return {line.probe: line for line in checklist(wiring, day, IMPATIENT)}


def test_a_holiday_is_no_day_to_be_ready_for(tmp_path: Path) -> None:
    line = unreachable(tmp_path, date(2024, 7, 4))["calendar"]

    assert line.verdict is Verdict.SKIPPED
    assert "2024-07-04 is no session: July 4th" in line.evidence


def test_without_a_broker_nothing_of_it_is_ticked(tmp_path: Path) -> None:
    lines = unreachable(tmp_path)

    assert passed(lines) == {"limits", "calendar", "disk", "journal"}
    assert lines["connection"].verdict is Verdict.FAILED
    after = [lines[name].verdict for name in list(QUESTIONS)[6:]]
    assert after == [Verdict.SKIPPED] * 6


def test_a_full_or_a_slow_disk_fails(tmp_path: Path) -> None:
    full = disk_keeps(tmp_path, free_bytes_min=10**18)
    slow = disk_keeps(tmp_path, sync_seconds_max=0.0)

    assert isinstance(full, Failed)
    assert "expected 1,000,000,000 GB: make room" in full.evidence
    assert isinstance(slow, Failed)
    assert "use a local disk" in slow.evidence
    assert list(tmp_path.iterdir()) == []


def test_a_journal_somebody_changed_fails(tmp_path: Path) -> None:
    path = wired(tmp_path).journal
    fact = AlertRaised(at=datetime(2024, 7, 9, tzinfo=UTC), text="sound")
    with JournalWriter(path) as writer:
        writer.append([entry_of(fact)] * 3, Stamp(date(2024, 7, 9), "contracts", "test"))
    sound = unreachable(tmp_path)["journal"]

    tamper(path, "update entries set payload = '{}' where seq = 2")
    line = unreachable(tmp_path)["journal"]

    assert (sound.verdict, sound.evidence[:31]) == (
        Verdict.PASSED,
        "MES.sqlite: 3 events unbroken t",
    )
    assert line.verdict is Verdict.FAILED
    assert "broken at event 2" in line.evidence


def test_a_journal_that_is_none_fails(tmp_path: Path) -> None:
    path = wired(tmp_path).journal
    path.parent.mkdir(parents=True)
    path.write_text("not a journal " * 100)

    line = unreachable(tmp_path)["journal"]

    assert line.verdict is Verdict.FAILED
    assert "not a database" in line.evidence
    assert sqlite3.sqlite_version  # The words are SQLite's own.


def test_an_alert_nobody_takes_fails_and_shows_no_password(
    tmp_path: Path, listener: Listener
) -> None:
    listener.refusals = 1

    line = unreachable(tmp_path, CREDENCE_ALERTS=listener.address)["alerts"]
    none = unreachable(tmp_path)["alerts"]

    assert line.verdict is Verdict.FAILED
    assert line.evidence.startswith("alert target 1 (json): expected the alert")
    assert PASSWORD not in line.evidence
    assert none.verdict is Verdict.SKIPPED


# ── The broker ──────────────────────────────────────────────────────────────────────────────────


def test_a_running_session_is_not_disturbed(tmp_path: Path) -> None:
    with desk(tmp_path) as busy:
        files = busy.wiring.session_files
        with session_lock(
            files, what="a session run", mode=Mode.PAPER, symbol="MES", session_date=DAY
        ):
            lines = busy.asked()
        orders = busy.gateway.status()

    assert passed(lines) == {"limits", "calendar", "disk", "journal"}
    assert "a session run (paper MES, pid" in lines["kill drill"].evidence
    assert orders["clients"] in (0, [])


def test_real_money_is_no_paper_account(tmp_path: Path) -> None:
    with desk(tmp_path, GatewaySettings(account_id="U7654321")) as real:
        verdict, evidence = real.found("connection")

    assert verdict is Verdict.FAILED
    assert "U7654321" in evidence


def test_on_a_real_account_no_trial_order_is_sent(tmp_path: Path) -> None:
    settings = GatewaySettings(account_id="U7654321")
    with desk(tmp_path, settings, CREDENCE_MODE="live", CREDENCE_LIVE_ACCOUNT="U7654321") as real:
        lines = real.asked()

    for name in ("bracket", "kill drill"):
        assert lines[name].verdict is Verdict.SKIPPED
        assert "U7654321 is no paper account" in lines[name].evidence


def test_a_desk_that_only_observes_sends_no_trial_order(tmp_path: Path) -> None:
    with desk(tmp_path, CREDENCE_MODE="observe") as watching:
        lines = watching.asked()

    assert lines["data"].verdict is Verdict.PASSED
    assert lines["bracket"].verdict is Verdict.SKIPPED
    assert "mode observe sends no orders" in lines["bracket"].evidence


@pytest.mark.parametrize(
    ("fault", "probe", "words"),
    [
        ("delayed-data", "data", "the feed is "),
        ("10197", "data", "competing"),
        ("354", "data", ""),
        ("stall-bars", "data", "no live quote of MES in 6 s; is the market open"),
        ("foreign-position", "reconciliation", "the journal says +0 MES, the broker +"),
        ("unknown-order", "reconciliation", "orders not ours: an order of somebody else"),
        ("reject", "bracket", "3 orders were sent, the broker did not list them all"),
        ("read-only", "bracket", "did not list them all"),
        ("cancel-unanswered", "bracket", "was cancelled and still works: cancel it by hand now"),
        ("cancel-unanswered", "kill drill", "Look for 2024-07-10/checklist-drill-"),
        ("reject", "kill drill", "a kill of nothing proves nothing: 3 orders were sent"),
        ("read-only", "kill drill", "a kill of nothing proves nothing: 3 orders were sent"),
    ],
)
def test_a_broken_broker_loses_its_tick(tmp_path: Path, fault: str, probe: str, words: str) -> None:
    with desk(tmp_path) as broken:
        broken.gateway.fault(fault)

        verdict, evidence = broken.found(probe)

    assert verdict is Verdict.FAILED
    assert words in evidence


def test_a_drill_leaves_alone_what_is_not_ours(tmp_path: Path) -> None:
    with desk(tmp_path) as shared:
        shared.gateway.fault("foreign-position", quantity=1)
        held = shared.gateway.status()["position"]

        verdict, evidence = shared.found("kill drill")
        left = shared.gateway.status()["position"]

    assert held == left == 1
    assert verdict is Verdict.SKIPPED
    assert "journal and broker do not agree" in evidence


def test_a_margin_call_is_no_account_to_trade(tmp_path: Path) -> None:
    with desk(tmp_path) as poor:
        poor.gateway.fault("foreign-position", quantity=1)
        poor.gateway.fault("margin-call")

        verdict, evidence = poor.found("account")

    assert verdict is Verdict.FAILED
    assert "a margin call" in evidence


@pytest.mark.parametrize(
    ("skew", "kind"),
    [(0.0, Passed), (SKEW_SECONDS_MAX - 0.5, Passed), (SKEW_SECONDS_MAX + 1, Failed), (-9, Failed)],
)
def test_clocks_that_differ_fail(skew: float, kind: type) -> None:
    broker = SimpleNamespace(now=lambda: datetime.now(UTC) + timedelta(seconds=skew))
    probes = BrokerProbes(
        broker=cast("LiveBroker", broker),
        rules=RULES,
        mode=Mode.PAPER,
        state=cast("DeskState", None),
        has_own_time=False,
    )

    found: Any = probes.clock()

    assert isinstance(found, kind)
    assert not isinstance(found, Skipped)
