"""A bar that may be entered, changed one thing at a time, and what the ladder says of it."""

from datetime import date
from typing import Any

import polars as pl
from small_market import RULES

from engine.calendar import Phase
from engine.candidates import add_candidates
from engine.ladder import LADDER, PASSED, Reason
from engine.rules import Rules
from engine.signals import SIGNALS

Bar = dict[str, Any]
TUESDAY, MONDAY, FRIDAY = date(2024, 3, 12), date(2024, 3, 11), date(2024, 3, 15)
WIDE = RULES.decision.spread_lockout_ticks
# K1 long in the afternoon: price is 15 ticks under VWAP, ATR is 6, so the stop is 8 ticks.
ENTRY: Bar = {
    "session_date": TUESDAY,
    "session_key": 0,
    "session_bar": 250,
    "session_minutes": 390,
    "minute": 250,
    "close_ticks": 20_000,
    "bid_ticks": None,
    "ask_ticks": None,
    "vwap_ticks": 20_015.0,
    "true_range_ticks": 6,
    "atr_14_ticks": 6.0,
    "atr_30_ticks": 6.0,
    "dvs": 1.0,
    "is_shock": False,
    "regime": "range",
    "spread_ticks": 1,
    "slippage_ticks": 0.5,
    "friction_ticks": 2.0,
    "failed_break": 0.0,
    "failed_break_extreme_ticks": None,
    "sweep_extreme_ticks": None,
    "session_phase": float(Phase.AFTERNOON),
    "vwap_z": -2.0,
    "range_compression": 1.0,
    "atr_14_n": 1.0,
    "f1_long_effective": 0.75,
}
INTEGERS = (
    "session_key",
    "session_bar",
    "session_minutes",
    "minute",
    "close_ticks",
    "spread_ticks",
)


def framed(*bars: Bar) -> pl.DataFrame:
    """Bars of a session of their own each unless they say otherwise, all signals silent."""
    silent = dict.fromkeys(SIGNALS, 0.0)
    beliefs: Bar = {"f5_effective": 0.2, "f5_likelihood": 0.2, "f6_effective": 0.5}
    for prefix in (f"f{n}_{side}" for n in (1, 2, 3, 4) for side in ("long", "short")):
        beliefs |= {f"{prefix}_effective": 0.3, f"{prefix}_likelihood": 0.3}
        beliefs[f"{prefix}_instability"] = 0.01
    rows = [
        {**silent, **beliefs, "f6_likelihood": 0.5, **ENTRY, "session_key": place, **changes}
        for place, changes in enumerate(bars)
    ]
    types: dict[str, Any] = dict.fromkeys((*silent, *beliefs, "atr_30_ticks"), pl.Float64())
    types |= dict.fromkeys((*INTEGERS, "true_range_ticks"), pl.Int32())
    types |= dict.fromkeys(("failed_break_extreme_ticks", "sweep_extreme_ticks"), pl.Int32())
    types |= dict.fromkeys(("bid_ticks", "ask_ticks"), pl.Int32())
    types |= {"friction_ticks": pl.Float64(), "failed_break": pl.Float64()}
    return pl.DataFrame(rows, schema_overrides=types)


def judged(*bars: Bar, rules: Rules = RULES) -> pl.DataFrame:
    return add_candidates(framed(*bars), rules)


def judged_bar(bar: Bar, rules: Rules = RULES) -> Bar:
    return judged(bar, bar, rules=rules).row(0, named=True)


def market_reason(bar: Bar) -> Reason | None:
    """The market's reason on one bar; null if an entry is possible."""
    step = judged_bar(bar)["market_step"]
    return None if step == PASSED else LADDER[step]


REFUSALS: dict[Reason, Bar] = {
    Reason.DVS_TOO_LOW: {"dvs": 0.79},
    Reason.MISSING_REQUIRED_SIGNAL: {"f5_likelihood": None},
    Reason.SESSION_NOT_TRADABLE: {"minute": 389, "session_phase": float(Phase.CLOSE)},
    Reason.SESSION_WINDOW_BLOCK: {"minute": 150, "session_phase": float(Phase.LUNCH)},
    Reason.VOL_SHOCK_LOCKOUT: {"true_range_ticks": 24},
    Reason.SPREAD_SLIPPAGE_LOCKOUT: {"spread_ticks": 3},
    Reason.NEWS_LOCKOUT: {"is_shock": True, "true_range_ticks": 30},
    Reason.STOP_EXCEEDS_RISK_BUDGET: {"atr_14_ticks": 10.0},
    Reason.BELIEF_TOO_LOW: {"f6_effective": 0.19},
    Reason.STABILITY_NOT_MET: {"f1_long_instability": 0.2},
    Reason.NOISE_VETO: {"f5_effective": 0.7},
    Reason.FRICTION_TOO_HIGH: {"friction_ticks": 4.6},
    Reason.EDGE_SCORE_BELOW_THETA: {"f1_long_effective": 0.65, "dvs": 0.8},
    Reason.NO_CANDIDATE: {"vwap_z": -1.4},
}
MARKET_REASONS = [reason for reason in LADDER if reason in REFUSALS]
