"""The authority ladder: every reason for not trading, in the order in which the desk asks.

The position in `LADDER` is what the market columns and the desk's own gates are compared by: the
first no wins.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a bar was not an entry. One per bar, the first that applies."""

    KILL_SWITCH_ACTIVE = "KILL_SWITCH_ACTIVE"
    HALTED = "HALTED"
    IN_POSITION = "IN_POSITION"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    WEEKLY_LOSS_LIMIT = "WEEKLY_LOSS_LIMIT"
    MONTHLY_LOSS_LIMIT = "MONTHLY_LOSS_LIMIT"
    MAX_TRADES_REACHED = "MAX_TRADES_REACHED"
    CONSECUTIVE_LOSS_LOCKOUT = "CONSECUTIVE_LOSS_LOCKOUT"
    COOLDOWN_ACTIVE = "COOLDOWN_ACTIVE"
    FEED_NOT_LIVE = "FEED_NOT_LIVE"
    DVS_TOO_LOW = "DVS_TOO_LOW"
    EQS_TOO_LOW = "EQS_TOO_LOW"
    MISSING_REQUIRED_SIGNAL = "MISSING_REQUIRED_SIGNAL"
    SESSION_NOT_TRADABLE = "SESSION_NOT_TRADABLE"
    SESSION_WINDOW_BLOCK = "SESSION_WINDOW_BLOCK"
    VOL_SHOCK_LOCKOUT = "VOL_SHOCK_LOCKOUT"
    SPREAD_SLIPPAGE_LOCKOUT = "SPREAD_SLIPPAGE_LOCKOUT"
    NEWS_LOCKOUT = "NEWS_LOCKOUT"
    TEMPLATE_NOT_ALLOWED_BY_TIER = "TEMPLATE_NOT_ALLOWED_BY_TIER"
    STOP_EXCEEDS_RISK_BUDGET = "STOP_EXCEEDS_RISK_BUDGET"
    BELIEF_TOO_LOW = "BELIEF_TOO_LOW"
    STABILITY_NOT_MET = "STABILITY_NOT_MET"
    NOISE_VETO = "NOISE_VETO"
    STRATEGY_QUARANTINED = "STRATEGY_QUARANTINED"
    FRICTION_TOO_HIGH = "FRICTION_TOO_HIGH"
    EDGE_SCORE_BELOW_THETA = "EDGE_SCORE_BELOW_THETA"
    NO_CANDIDATE = "NO_CANDIDATE"


LAYER_NAMES: Final = (
    "kill switch",
    "constitution",
    "quality",
    "session",
    "regime lockouts",
    "capital tier",
    "belief",
    "friction",
    "template",
)

_LAYERS: Final[tuple[tuple[Reason, ...], ...]] = (
    (Reason.KILL_SWITCH_ACTIVE, Reason.HALTED),
    (
        Reason.IN_POSITION,
        Reason.DAILY_LOSS_LIMIT,
        Reason.WEEKLY_LOSS_LIMIT,
        Reason.MONTHLY_LOSS_LIMIT,
        Reason.MAX_TRADES_REACHED,
        Reason.CONSECUTIVE_LOSS_LOCKOUT,
        Reason.COOLDOWN_ACTIVE,
    ),
    (
        Reason.FEED_NOT_LIVE,
        Reason.DVS_TOO_LOW,
        Reason.EQS_TOO_LOW,
        Reason.MISSING_REQUIRED_SIGNAL,
    ),
    (Reason.SESSION_NOT_TRADABLE, Reason.SESSION_WINDOW_BLOCK),
    (Reason.VOL_SHOCK_LOCKOUT, Reason.SPREAD_SLIPPAGE_LOCKOUT, Reason.NEWS_LOCKOUT),
    (Reason.TEMPLATE_NOT_ALLOWED_BY_TIER, Reason.STOP_EXCEEDS_RISK_BUDGET),
    (
        Reason.BELIEF_TOO_LOW,
        Reason.STABILITY_NOT_MET,
        Reason.NOISE_VETO,
        Reason.STRATEGY_QUARANTINED,
    ),
    (Reason.FRICTION_TOO_HIGH,),
    (Reason.EDGE_SCORE_BELOW_THETA, Reason.NO_CANDIDATE),
)

LADDER: Final[tuple[Reason, ...]] = tuple(reason for layer in _LAYERS for reason in layer)
"""All reasons, first asked first."""

STEP: Final = {reason: step for step, reason in enumerate(LADDER)}
"""Position of each reason in `LADDER`; lower wins."""

PASSED: Final = len(LADDER)
"""The step of a bar that no gate refused."""

LAYER: Final = {reason: number for number, layer in enumerate(_LAYERS) for reason in layer}
"""Layer number 0–8 of each reason; an index into `LAYER_NAMES`."""
