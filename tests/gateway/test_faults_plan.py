"""A bad day written down: read strictly, refused in words, due at its instants."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.errors import InputRefused
from pipelines.gateway.faults import (
    FAULTS,
    Fault,
    FaultChange,
    GatewayPlan,
    load_plan,
    read_change,
)

PLAN = """
seed: 7
faults:
  - {minute: 30, fault: 1100}
  - {minute: 31, second: 15, fault: 1101}
  - {minute: 40, fault: partial, rate: 0.25}
  - {minute: 60, fault: partial, turn: off}
  - {session: 2025-01-03, minute: 0, fault: late-ack, seconds: 20}
"""


def planned(tmp_path: Path, text: str) -> GatewayPlan:
    path = tmp_path / "bad-day.yaml"
    path.write_text(text)
    return load_plan(path)


def test_a_plan_says_what_goes_wrong_when(tmp_path: Path) -> None:
    plan = planned(tmp_path, PLAN)

    assert plan.seed == 7
    assert [each.change for each in plan.faults] == [
        FaultChange(fault=Fault.CONNECTIVITY_LOST),
        FaultChange(fault=Fault.RESTORED_DATA_LOST),
        FaultChange(fault=Fault.PARTIAL, rate=0.25),
        FaultChange(fault=Fault.PARTIAL, is_on=False),
        FaultChange(fault=Fault.LATE_ACK, seconds=20.0),
    ]


def test_changes_are_due_in_every_session_or_in_the_one_that_is_named(tmp_path: Path) -> None:
    sessions = sessions_between(date(2025, 1, 2), date(2025, 1, 3), load_rules("MES").session)

    due = planned(tmp_path, PLAN).by_instant(sessions)

    assert [(at.day, at.hour, at.minute, at.second) for at in sorted(due)] == [
        *[(2, 15, 0, 0), (2, 15, 1, 15), (2, 15, 10, 0), (2, 15, 30, 0)],
        *[(3, 14, 30, 0), (3, 15, 0, 0), (3, 15, 1, 15), (3, 15, 10, 0), (3, 15, 30, 0)],
    ]
    assert due[datetime(2025, 1, 3, 14, 30, tzinfo=UTC)][0].fault is Fault.LATE_ACK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: 1\nfaults: []", "bad-day.yaml: unknown key seeds; known are seed, faults"),
        ("seed: 1.5\nfaults: []", "seed: expected a whole number"),
        ("seed: 1", "faults: expected a list of entries"),
        ("faults: reject", "faults: expected a list of entries"),
        ("faults: [reject]", r"faults\[0\]: expected keys and values, got 'reject'"),
        ("faults: [{fault: reject}]", "minute: expected 0 to 389, got None"),
        ("faults: [{minute: 390, fault: reject}]", "minute: expected 0 to 389, got 390"),
        ("faults: [{minute: 1, second: 3, fault: reject}]", "second: expected 0 to 55 in steps"),
        ("faults: [{minute: 1, fault: rejects}]", "'rejects' is none; did you mean reject?"),
        ("faults: [{minute: 1}]", "fault: None is none"),
        ("faults: [{minute: 1, fault: reject, turn: maybe}]", "turn: expected on or off"),
        ("faults: [{minute: 1, fault: 1101, turn: off}]", "1101 happens once"),
        ("faults: [{minute: 1, fault: partial, rate: 2}]", "rate: expected a number from 0 to 1"),
        ("faults: [{minute: 1, fault: partial, rate: x}]", "rate: expected a number from 0 to 1"),
        ("faults: [{minute: 1, fault: reject, rate: 1}]", "reject: unknown key rate"),
        ("faults: [{minute: 1, fault: foreign-position, quantity: 1.5}]", "quantity: expected"),
        ("faults: [{minute: 1, fault: reject, session: soon}]", "session: expected a date"),
        ("faults: [{minute: 1, minute: 2, fault: reject}]", "line 1: key 'minute' appears twice"),
        ("faults: [", "line 2: did not find expected node content"),
        ("- reject", "expected a mapping of keys"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_meant_is_refused_by_file_entry_and_key(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InputRefused, match=said) as refused:
        planned(tmp_path, text)

    assert str(refused.value).startswith("bad-day.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"nowhere\.yaml: expected a file with a plan of faults"):
        load_plan(tmp_path / "nowhere.yaml")


def test_every_fault_says_what_it_does_and_can_be_asked_for_by_its_name() -> None:
    assert set(FAULTS) == set(Fault)
    for fault in Fault:
        assert read_change({"fault": fault.value}, "asked").fault is fault
        assert FAULTS[fault].meaning.endswith(".")
