"""Where orders may go: OBSERVE nowhere, PAPER to paper, LIVE only when everything says so."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from replay_market import RULES
from session_stage import SessionStage, entry_minute, session, simulated

from engine.desk import Mode
from engine.errors import NotAuthorised
from engine.journal import Kind
from pipelines.session.authority import ChecklistRecord, LiveConsent
from pipelines.session.code_version import code_version
from pipelines.session.plan import SessionPlan, StopPolicy

REAL = "U7654321"
CONSENT = LiveConsent(account=REAL, confirmed_account=REAL)
CHECKED = ChecklistRecord(
    session_date=session().session_date.isoformat(),
    symbol="MES",
    code=code_version(),
    contracts_hash=RULES.contracts_hash,
    passed=True,
)
SOON = entry_minute() + 20


def staged(home, mode: Mode) -> SessionStage:
    return SessionStage(home, plan=SessionPlan(mode=mode, session=session(), consent=CONSENT))


def test_observe_follows_its_trades_and_sends_nothing(tmp_path):
    stage = staged(tmp_path, Mode.OBSERVE)
    real = simulated(minutes=SOON, account_id=REAL)

    result = stage.run(real)

    assert result.actions["ENTER"] == 1
    assert sum(result.exits.values()) == 1
    assert stage.events(Kind.EXECUTION)
    assert real.executions(session().opens_at) == ()
    assert real.completed_orders() == ()
    assert result.journal == stage.files.journal(Mode.OBSERVE, "MES")


def test_observe_finds_its_shadow_trade_again_after_a_restart(tmp_path):
    stage = staged(tmp_path, Mode.OBSERVE)
    first = stage.made(simulated(minutes=SOON), stop_policy=StopPolicy.LEAVE_PROTECTED)
    stage.on_line = lambda line: first.stop() if "filled: " in line else None
    held = first.run().state.position
    at = session().opens_at + timedelta(minutes=entry_minute() + 3)

    result = stage.run(simulated(minutes=SOON, starts_at=at))

    assert abs(held) == 1
    assert result.state.kill.is_running
    assert sum(result.exits.values()) == 1


def test_paper_refuses_an_account_that_may_be_real(tmp_path):
    stage = staged(tmp_path, Mode.PAPER)

    with pytest.raises(NotAuthorised, match="may be real money"):
        stage.run(simulated(account_id=REAL))

    assert stage.events() == []


def nothing(record: ChecklistRecord) -> None:
    return None


REFUSALS: dict[
    str, tuple[Callable[[ChecklistRecord], ChecklistRecord | None], LiveConsent, str]
] = {
    "no checklist": (nothing, CONSENT, "expected today's checklist"),
    "it failed": (lambda r: replace(r, passed=False), CONSENT, "did not pass"),
    "another instrument": (lambda r: replace(r, symbol="MNQ"), CONSENT, "this is .* MES"),
    "another code": (lambda r: replace(r, code="0.1.0+else"), CONSENT, "run it again"),
    "other contracts": (lambda r: replace(r, contracts_hash="0" * 64), CONSENT, "run it again"),
    "no account named": (lambda r: r, LiveConsent(), "CREDENCE_LIVE_ACCOUNT"),
    "another account": (lambda r: r, LiveConsent(account="U1"), "says U7654321"),
    "nobody confirmed": (lambda r: r, LiveConsent(account=REAL), "person's confirmation"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_live_is_refused_unless_everything_says_so(tmp_path, what):
    spoil, consent, words = REFUSALS[what]
    stage = staged(tmp_path, Mode.LIVE)
    record = spoil(CHECKED)
    if record is not None:
        record.write(stage.files)

    with pytest.raises(NotAuthorised, match=words):
        stage.run(simulated(account_id=REAL), consent=consent)

    assert stage.events() == []


def test_live_trades_when_everything_says_so(tmp_path):
    stage = staged(tmp_path, Mode.LIVE)
    CHECKED.write(stage.files)

    result = stage.run(simulated(minutes=SOON, account_id=REAL))

    assert result.actions["ENTER"] == 1


def test_the_checklist_of_yesterday_does_not_count(tmp_path):
    stage = staged(tmp_path, Mode.LIVE)
    yesterday = session().prior_session_date
    assert yesterday is not None
    replace(CHECKED, session_date=yesterday.isoformat()).write(stage.files)

    with pytest.raises(NotAuthorised, match="expected today's checklist"):
        stage.run(simulated(account_id=REAL))
