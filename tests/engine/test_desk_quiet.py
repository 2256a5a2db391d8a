"""Runs of quiet bars: taken at once they are what the step makes of each of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from desk_stage import OPENS_AT, RULES, SESSION_DATE, account, opened, row, setup
from hypothesis import given
from hypothesis import strategies as st
from replay_market import market

from engine.desk import EMPTY, Desk, DeskState, QuietBar, is_quiet, quiet_bars
from engine.desk.quiet import step_quiet
from engine.execution_quality import Trouble
from engine.journal import Entry
from engine.kill import KillCause, KillState, KillSwitch
from engine.ladder import STEP, Reason
from engine.market import MarketRow, market_frame, market_rows
from engine.narrative import journal_text
from engine.own_view import OwnFacts, own_view
from engine.risk import RiskState

MARKETS_NOES = [
    Reason.MISSING_REQUIRED_SIGNAL,
    Reason.SESSION_WINDOW_BLOCK,
    Reason.BELIEF_TOO_LOW,
    Reason.NO_CANDIDATE,
]
WORDS = [
    "",
    "needs F1 long 0.65, was 0.61",
    "it would have taken all of: the window to end; F6 0.20",
]


def quiet(bar: MarketRow) -> QuietBar:
    return QuietBar(*(getattr(bar, name) for name in QuietBar._fields))


@st.composite
def runs(draw: st.DrawFn) -> list[MarketRow]:
    """Bars without a setup, in a row, each refused by the market for a reason of its own."""
    first = draw(st.integers(0, 300))
    return [
        row(
            minute,
            market_step=STEP[draw(st.sampled_from(MARKETS_NOES))],
            counterfactual=draw(st.sampled_from(WORDS)),
            sentence=f"what the market says of minute {minute}",
        )
        for minute in range(first, first + draw(st.integers(1, 60)))
    ]


@st.composite
def states(draw: st.DrawFn) -> DeskState:
    """A calm desk in any mood: halted, killed, cooling, at a limit, without an account."""
    entered = sorted(draw(st.lists(st.integers(-60, 300), max_size=2)))
    losses = draw(st.integers(0, 2))
    kill = draw(st.sampled_from(KillState))
    return EMPTY._replace(
        session=opened(),
        account=draw(st.sampled_from([None, account("900"), account("5000")])),
        kill=KillSwitch(state=kill, cause=None if kill is KillState.RUNNING else KillCause.PERSON),
        risk=RiskState(
            session_date=SESSION_DATE,
            net_usd_today=Decimal(draw(st.sampled_from(["0", "-17.51", "-28"]))),
            entered_at=tuple(OPENS_AT + timedelta(minutes=minute) for minute in entered),
            losses_today=losses,
            loss_streak=losses,
        ),
    )


def stepped(state: DeskState, bars: Sequence[MarketRow]) -> tuple[DeskState, list[Entry], Counter]:
    """What the desk makes of the bars one by one."""
    desk, entries, reasons = Desk(RULES), [], Counter()
    for bar in bars:
        state, records, commands, decision = desk.step_bar(state, bar)
        assert commands == ()
        assert decision is not None
        entries += records
        reasons[decision.reason] += 1
    return state, entries, reasons


@given(states(), runs())
def test_a_run_of_quiet_bars_is_the_steps_of_its_bars(state, bars):
    desk = Desk(RULES)
    assert desk.is_calm(state)

    at_once = desk.step_quiet(state, [quiet(bar) for bar in bars])

    assert at_once == stepped(state, bars)


def test_a_run_that_forgets_when_the_cooldown_ends_is_caught():
    entered = RiskState(session_date=SESSION_DATE, entered_at=(OPENS_AT,))
    state = EMPTY._replace(session=opened(), account=account(), risk=entered)
    bars = [row(minute) for minute in range(50, 70)]
    facts = OwnFacts(
        lock=None,
        is_flat=True,
        risk=entered,
        eqs=1.0,
        equity_usd=Decimal(5000),
        standings={},
    )
    forgetful = replace(own_view(facts, RULES), cooldown_ends_at=None)

    planted = step_quiet(state, [quiet(bar) for bar in bars], forgetful)

    assert planted.reasons != stepped(state, bars)[2]
    assert stepped(state, bars)[2].keys() == {Reason.COOLDOWN_ACTIVE, Reason.BELIEF_TOO_LOW}


def test_which_bars_are_quiet_is_told_by_the_rows_themselves():
    of = market(8)
    frame = journal_text(market_frame(of.contexts, of.bars, RULES), RULES)
    rows, told = market_rows(frame), quiet_bars(frame)
    enough = RULES.constitution.dvs_entry_min

    found = frame.select(is_quiet(RULES)).to_series().to_list()

    assert found == [not bar.setups and not bar.may_enter and bar.dvs >= enough for bar in rows]
    assert 0.5 < sum(found) / len(found) < 1.0
    assert told == [quiet(bar) for bar in rows]


@pytest.mark.parametrize("worry", ["trade", "data", "execution", "recording", "session"])
def test_a_desk_with_something_on_its_mind_is_not_calm(worry, stage_with_a_trade):
    calm = EMPTY._replace(session=opened(), account=account())
    worried = {
        "trade": stage_with_a_trade,
        "data": calm._replace(dvs_level=2),
        "execution": calm._replace(quality=calm.quality.impaired(Trouble.REJECT, 5)),
        "recording": calm._replace(session=opened(recording="trades")),
        "session": calm._replace(session=None),
    }

    assert Desk(RULES).is_calm(calm)
    assert not Desk(RULES).is_calm(worried[worry])


@pytest.fixture
def stage_with_a_trade() -> DeskState:
    state = EMPTY._replace(session=opened(), account=account())
    return Desk(RULES).step_bar(state, row(40, 24_000, setup())).state
