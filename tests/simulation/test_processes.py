"""Real processes struck on purpose: the plan, the laws that judge it, and a slice of the runs."""

import resource
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from replay_market import RULES

from contracts.calendar import session_on, sessions_between
from engine.broker import BrokerSnapshot, OrderKind, PositionReported, WorkingOrder
from engine.desk import EMPTY
from engine.journal import START, Broken, Kind, Verified
from engine.units import OrderRef, Side
from pipelines.campaign.processes import process_stage
from pipelines.campaign.processes_disk import LimitedProcess, SmallDisk, disk_at
from pipelines.campaign.processes_laws import PROCESS_LAWS, ProcessSeen, naked_and_able
from pipelines.campaign.processes_plan import (
    DEADLY,
    PLAYS,
    Blow,
    Moment,
    ProcessPlan,
    Strike,
    plan_of,
)
from pipelines.campaign.processes_truth import BrokerTruth
from pipelines.campaign.soak import CPU_PERCENT_MAX, SoakReading, findings, soak
from pipelines.live_stage import LiveStage
from pipelines.measurements import BenchBars
from pipelines.timed_gateway import Readings

SESSION = session_on(date(2024, 11, 29), RULES.session)
WRITES = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        file.write(b"x" * 100_000)
    except OSError as error:
        print(error.errno, flush=True)
"""
ENOSPC, EFBIG = 28, 27


# ── The plan ────────────────────────────────────────────────────────────────────────────────────


def test_one_seed_is_one_plan():
    plans = [plan_of(seed) for seed in range(60)]

    assert plans == [plan_of(seed) for seed in range(60)]
    assert {strike.blow for plan in plans for strike in plan.strikes} == set(Blow)
    assert {plan.play for plan in plans} == set(PLAYS)
    assert sum(plan.is_under_dagster for plan in plans) == 12


def test_no_session_is_ended_more_often_than_it_is_launched_again():
    deadly = [sum(s.blow in DEADLY for s in plan_of(seed).strikes) for seed in range(60)]

    assert set(deadly) == {2}


# ── The laws, each with its bug planted ─────────────────────────────────────────────────────────


def snapshot(held: int = 0, working: tuple[WorkingOrder, ...] = ()) -> BrokerSnapshot:
    at = SESSION.closes_at
    positions = (PositionReported(at=at, symbol="MES", quantity=held),) if held else ()
    return BrokerSnapshot(at=at, positions=positions, working=working, completed=(), executions=())


def seen(**changes: object) -> ProcessSeen:
    """A session in which nothing was traded, as far as the changes leave it so."""
    truth = BrokerTruth(
        snapshot=snapshot(), refs=Counter(), executions=Counter(), earned_usd=Decimal(0)
    )
    nothing = ProcessSeen(
        session=SESSION,
        truth=truth,
        readings=Readings(),
        helpless=(),
        verified=Verified(head=START, events=0),
        events=(),
        state=EMPTY,
        rules=RULES,
        ended_at=100.0,
    )
    of_truth = {key: changes.pop(key) for key in tuple(changes) if hasattr(truth, key)}
    return nothing._replace(truth=replace(truth, **of_truth), **changes)


def broken_by(case: ProcessSeen) -> set[str]:
    return {law.__name__ for law in PROCESS_LAWS if law(case) is not None}


WITHOUT_EVENTS = {"session_is_closed", "every_minute_has_one_decision"}

PLANTED = {
    "chain_is_whole": {"verified": Broken(seq=3, text="another hash")},
    "each_execution_is_booked_once": {"executions": Counter({"0001": 1})},
    "no_order_comes_twice": {"refs": Counter({"a/b/E": 2})},
    "every_order_was_intended": {"refs": Counter({"a/b/E": 1})},
    "ledger_is_the_cash": {"earned_usd": Decimal("-0.62")},
    "the_end_is_flat_or_protected": {"snapshot": snapshot(held=1)},
    "protected_soon_after_reconnect": {
        "readings": Readings(clients=[(0.0, 1)], naked=[(10.0, 15.5)])
    },
}


@pytest.mark.parametrize("law", PLANTED)
def test_a_planted_bug_is_seen_by_its_law(law):
    found = broken_by(seen(**PLANTED[law])) - broken_by(seen())

    assert broken_by(seen()) == WITHOUT_EVENTS
    assert law in found


def test_a_position_without_a_stop_counts_only_while_the_desk_can_act():
    readings = Readings(clients=[(0.0, 1), (12.0, 0), (20.0, 1)], naked=[(10.0, None)])

    spans = list(naked_and_able(seen(readings=readings, helpless=[(22.0, 30.0)], ended_at=31.0)))

    assert spans == [(10.0, 12.0), (20.0, 22.0), (30.0, 31.0)]


def test_a_stop_of_the_other_side_protects_nothing():
    stop = WorkingOrder(
        ref=OrderRef("s"),
        symbol="MES",
        side=Side.LONG,
        kind=OrderKind.STOP_MARKET,
        quantity=1,
        price_ticks=1,
    )
    law = "the_end_is_flat_or_protected"
    held = EMPTY._replace(ledger=replace(EMPTY.ledger, carried=1))

    wrong = broken_by(seen(snapshot=snapshot(1, (stop,)), state=held))
    right = broken_by(seen(snapshot=snapshot(1, (replace(stop, side=Side.SHORT),)), state=held))

    assert law in wrong
    assert law not in right


# ── A full disk ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [SmallDisk, LimitedProcess])
def test_a_full_disk_refuses_a_process_that_writes(tmp_path, kind):
    with disk_at(tmp_path / "home") as best:
        disk = best if kind is SmallDisk else LimitedProcess()
        if not isinstance(disk, kind):
            pytest.skip("nothing may be mounted here")
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITES, str(tmp_path / "home" / "file")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout.readline() == "ready\n"
        disk.fill(writer.pid)
        said, _ = writer.communicate("go\n", timeout=60)
        disk.free()
        (tmp_path / "home" / "after").write_bytes(b"x" * 100_000)

    assert int(said) == (EFBIG if kind is LimitedProcess else ENOSPC)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# ── A slice of the runs ─────────────────────────────────────────────────────────────────────────


def strike(blow: Blow, kind: Kind, count: int) -> Strike:
    return Strike(blow=blow, moment=Moment(kind=kind, count=count), held_seconds=1.0)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_a_session_that_was_struck_in_every_way_loses_and_doubles_nothing():
    strikes = (
        strike(Blow.KILL, Kind.INTENT, 1),
        strike(Blow.SOCKET, Kind.DECISION, 2),
        strike(Blow.FREEZE, Kind.DECISION, 2),
        strike(Blow.DISK, Kind.EXECUTION, 1),
    )
    plan = ProcessPlan(seed=1, play=PLAYS[3], is_under_dagster=False, strikes=strikes)

    with process_stage() as stage:
        outcome = stage.outcome(plan)

    assert outcome.broken == {}, outcome.last_words
    assert [struck.blow for struck in outcome.struck] == [each.blow for each in strikes]
    assert all(struck.seconds is not None for struck in outcome.struck)


@pytest.mark.campaign
@pytest.mark.timeout(1_200)
def test_dagster_launches_a_session_again_after_a_power_cut():
    cut = strike(Blow.POWER, Kind.EXECUTION, 1)
    plan = ProcessPlan(seed=0, play=PLAYS[3], is_under_dagster=True, strikes=(cut,))

    with process_stage() as stage:
        outcome = stage.outcome(plan)

    assert outcome.broken == {}, outcome.last_words
    assert [(struck.blow, struck.launcher) for struck in outcome.struck] == [
        (Blow.POWER, "Dagster")
    ]


# ── The soak ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_a_second_session_in_one_process_leaves_nothing_of_itself():
    days = [date(2024, 11, 29), date(2024, 12, 24)]
    sessions = [
        each
        for first, last in (((11, 21), (11, 29)), ((12, 23), (12, 24)))
        for each in sessions_between(date(2024, *first), date(2024, *last), RULES.session)
    ]
    stage = LiveStage(BenchBars.generated(sessions, RULES), RULES)

    readings = list(soak(stage, days, lambda _: None))

    first, second = readings
    assert [each.bars for each in readings] == [210, 210]
    assert (second.handles, second.threads) == (first.handles, first.threads)
    assert {each.what for each in findings(readings)} >= {"megabytes", "cpu_ms_per_bar"}
    assert second.gateway_handles == first.gateway_handles


def test_what_strays_further_than_its_bound_is_not_flat():
    def reading(megabytes: float, decision_ms: float) -> SoakReading:
        day = date(2024, 11, 29)
        return SoakReading(day, 390, megabytes, 100.0, 9, 9, 1, 1_000, decision_ms, 30.0)

    found = {
        each.what: each
        for each in findings([reading(50, 1), reading(200, 9), reading(212, 99), reading(204, 9)])
    }

    assert (round(found["megabytes"].strays, 6), found["megabytes"].is_flat) == (6.0, False)
    assert (found["megabytes"].first, found["megabytes"].last) == (200, 204)
    assert (found["handles"].strays, found["handles"].is_flat) == (0.0, True)
    assert (found["decision_ms_p50"].strays, found["decision_ms_p50"].is_flat) == (1000.0, True)


def test_one_session_beside_other_work_is_no_growth_and_growth_is():
    def read(cpu_ms: list[float]) -> float:
        day = date(2024, 11, 29)
        readings = [SoakReading(day, 390, 50, 100.0, 9, 9, 1, 1_000, 9.0, each) for each in cpu_ms]
        return next(each.strays for each in findings(readings) if each.what == "cpu_ms_per_bar")

    steady = [30.0, 31.0, 29.0, 30.0] * 25
    disturbed = [90.0 if nth % 7 == 6 else each for nth, each in enumerate(steady)]
    growing = [each * (1 + 0.37 * nth / 100) for nth, each in enumerate(steady)]

    assert read(disturbed) < 5.0
    assert read(growing) > CPU_PERCENT_MAX
