"""The kill switch: its table, its triggers, and who may resume."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts import load_rules
from engine.errors import ImpossibleTransition
from engine.kill import (
    NEXT_STATE,
    KillCause,
    KillEvent,
    KillState,
    KillSwitch,
    apply_change,
    change,
    connection_trigger,
    margin_trigger,
    next_state,
    position_trigger,
    quality_trigger,
    why_not_resume,
)

RULES = load_rules("MES")
AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)
IMPOSSIBLE = {
    (KillState.RUNNING, KillEvent.LIMIT_CLEARED),
    (KillState.RUNNING, KillEvent.PERSON_RESUMED),
}


def switched(*events: tuple[KillEvent, KillCause | None]) -> KillSwitch:
    switch = KillSwitch()
    for event, cause in events:
        switch = apply_change(switch, change(switch, event, at=AT, cause=cause, text="seen"))
    return switch


@pytest.mark.parametrize("state", KillState)
@pytest.mark.parametrize("event", KillEvent)
def test_every_pair_is_in_the_table_or_raises_with_both_names(state, event):
    if (state, event) in IMPOSSIBLE:
        with pytest.raises(ImpossibleTransition) as refused:
            next_state(state, event)
        assert state.value in str(refused.value)
        assert event.value in str(refused.value)
    else:
        assert next_state(state, event) is NEXT_STATE[state, event]


def test_only_a_person_ends_a_kill():
    endings = {event for event in KillEvent if (KillState.KILLED, event) in NEXT_STATE}

    resuming = {e for e in endings if NEXT_STATE[KillState.KILLED, e] is KillState.RUNNING}

    assert resuming == {KillEvent.PERSON_RESUMED}


def test_the_first_cause_of_a_kill_is_kept():
    switch = switched(
        (KillEvent.TRIGGERED, KillCause.STATE_DESYNC), (KillEvent.TRIGGERED, KillCause.MARGIN_CALL)
    )

    assert (switch.state, switch.cause) == (KillState.KILLED, KillCause.STATE_DESYNC)
    assert not switch.is_flat_verified


def test_a_limit_does_not_take_over_the_halt_of_a_person():
    switch = switched(
        (KillEvent.PERSON_HALTED, KillCause.PERSON), (KillEvent.LIMIT_REACHED, KillCause.DAILY_LOSS)
    )

    assert (switch.state, switch.cause) == (KillState.HALTED, KillCause.PERSON)


def test_a_person_takes_over_the_halt_of_a_limit():
    switch = switched(
        (KillEvent.LIMIT_REACHED, KillCause.DAILY_LOSS), (KillEvent.PERSON_HALTED, KillCause.PERSON)
    )

    assert switch.cause is KillCause.PERSON


@pytest.mark.parametrize(
    ("switch", "reason", "is_flat", "refusal"),
    [
        (KillSwitch(), "checked", True, "nothing to resume"),
        (KillSwitch(state=KillState.HALTED), "  ", True, "needs a reason"),
        (KillSwitch(state=KillState.HALTED), "checked", False, None),
        (
            KillSwitch(state=KillState.KILLED, is_flat_verified=False),
            "checked",
            True,
            "not seen flat",
        ),
        (KillSwitch(state=KillState.KILLED), "checked", False, "not seen flat"),
        (KillSwitch(state=KillState.KILLED), "checked", True, None),
    ],
)
def test_a_resume_needs_a_reason_and_after_a_kill_a_flat_broker(switch, reason, is_flat, refusal):
    answer = why_not_resume(switch, reason=reason, is_flat=is_flat)

    assert answer is None if refusal is None else refusal in str(answer)


@pytest.mark.parametrize(
    ("dvs", "eqs", "cause"),
    [
        (0.30, 0.30, None),
        (0.2999, 1.0, KillCause.DATA_QUALITY),
        (1.0, 0.2999, KillCause.EXECUTION_QUALITY),
        (None, 1.0, None),
    ],
)
def test_quality_kills_strictly_below_its_bound(dvs, eqs, cause):
    trigger = quality_trigger(dvs, eqs, RULES.constitution)

    assert (trigger and trigger[0]) is cause


@pytest.mark.parametrize(
    ("seconds", "has_exposure", "kills"), [(60, True, False), (61, True, True), (999, False, False)]
)
def test_a_lost_connection_kills_only_what_is_exposed_for_too_long(seconds, has_exposure, kills):
    trigger = connection_trigger(
        AT, at=AT + timedelta(seconds=seconds), has_exposure=has_exposure, rules=RULES.execution
    )

    assert (trigger is not None) is kills


def test_a_connection_that_is_up_never_kills():
    assert connection_trigger(None, at=AT, has_exposure=True, rules=RULES.execution) is None


@pytest.mark.parametrize(
    ("funds", "kills"), [(None, False), ("0", False), ("-0.01", True), ("5000", False)]
)
def test_a_margin_call_is_negative_funds(funds, kills):
    trigger = margin_trigger(None if funds is None else Decimal(funds))

    assert (trigger is not None) is kills


@pytest.mark.parametrize(
    ("position", "kills"), [(0, False), (1, False), (-1, False), (2, True), (-2, True)]
)
def test_more_contracts_than_the_constitution_allows_is_a_breach(position, kills):
    trigger = position_trigger(position, RULES.constitution)

    assert (trigger is not None and trigger[0] is KillCause.CONSTITUTION_BREACH) is kills
