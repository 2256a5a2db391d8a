"""One bar that is an entry by every rule, and ways to spoil it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from contracts import load_rules
from engine.ladder import PASSED, STEP, Reason
from engine.market import MarketRow, Setup
from engine.own_view import OwnFacts, OwnView, own_view
from engine.risk import RiskState

RULES = load_rules("MES")
TODAY = date(2026, 3, 3)
NOW = datetime(2026, 3, 3, 15, 42, tzinfo=UTC)
CLEAR_RISK = RiskState().new_session(TODAY)
BELIEF_STEP = STEP[Reason.BELIEF_TOO_LOW]
SCORE = Reason.EDGE_SCORE_BELOW_THETA
FIRST_TEMPLATE_STEP = STEP[Reason.TEMPLATE_NOT_ALLOWED_BY_TIER]

GOOD_SETUP = Setup(
    template="K1",
    side=1,
    stop_ticks=8,
    target_ticks=12,
    belief=0.70,
    instability=0.02,
    p_win=0.575,
    edge=0.4375,
    theta=0.10,
    euc=0.115,
    reason=None,
)


def setup(**changes: Any) -> Setup:
    return GOOD_SETUP._replace(**changes)


def row(*setups: Setup, **changes: Any) -> MarketRow:
    """A bar with these setups; its step and `may_enter` follow from them as the market's do."""
    reasons = [STEP[Reason(found.reason)] if found.reason else PASSED for found in setups]
    step = changes.pop("market_step", max(reasons, default=BELIEF_STEP))
    plain = MarketRow(
        symbol="MES",
        session_date=TODAY,
        minute=71,
        closes_at=NOW,
        open_ticks=24_000,
        high_ticks=24_004,
        low_ticks=23_996,
        close_ticks=23_998,
        bid_ticks=23_998,
        ask_ticks=23_999,
        atr_14_ticks=5.0,
        dvs=1.0,
        is_shock=False,
        regime="range",
        phase=2,
        minutes_to_close=318,
        slippage_ticks=0.5,
        friction_ticks=2.0,
        vwap_ticks=24_010.0,
        market_step=step,
        may_enter=step == PASSED,
        f1_long=0.70,
        f1_short=0.20,
        f2_long=0.30,
        f2_short=0.30,
        f3_long=0.30,
        f3_short=0.30,
        f4_long=0.30,
        f4_short=0.30,
        f5=0.20,
        f6=0.60,
        setups=setups,
        bar_json="{}",
        evidence_json='{"dvs":[1.0000,0.8]}',
        sentence="10:42 ET skip: what the market says.",
        counterfactual="needs F2 long 0.65, was 0.61",
    )
    return plain._replace(**changes)


CLEAR = OwnFacts(
    lock=None,
    is_flat=True,
    risk=CLEAR_RISK,
    eqs=1.0,
    equity_usd=Decimal(10_000),
    standings={},
)


def own(**changes: Any) -> OwnView:
    return own_view(replace(CLEAR, **changes), RULES)


def entered(minutes_ago: int, risk: RiskState = CLEAR_RISK) -> RiskState:
    return risk.entered(NOW - timedelta(minutes=minutes_ago))


def market_reason(found: Setup, bar: MarketRow) -> str | None:
    """The first no of a setup by the specification; the market's columns say the same."""
    assert bar.f5 is not None
    assert bar.f6 is not None
    assert bar.friction_ticks is not None
    block = next(b for b in RULES.strategies.templates if b.id == found.template)
    noes = {
        Reason.STOP_EXCEEDS_RISK_BUDGET: found.stop_ticks > 12,
        Reason.BELIEF_TOO_LOW: bar.f6 < RULES.strategies.tradability_belief_min,
        Reason.STABILITY_NOT_MET: found.instability > block.instability_max,
        Reason.NOISE_VETO: bar.f5 >= RULES.strategies.noise_veto_belief,
        Reason.FRICTION_TOO_HIGH: bar.friction_ticks / found.target_ticks > 0.30,
        Reason.EDGE_SCORE_BELOW_THETA: found.euc < found.theta,
    }
    return next((reason.value for reason, is_no in noes.items() if is_no), None)
