"""The desk's plain English: one voice for the journal's columns, for decisions and for the CLI.

Every phrase is plain ASCII without quotes or backslashes, so it can be set into JSON text as it is.
A *need* is a noun phrase that completes "needs …": the change that would have satisfied one gate.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine.ladder import Reason
from engine.rules import Rules
from engine.units import Side

_OPEN_MINUTE: Final = 9 * 60 + 30
CLOCKS: Final = tuple(
    f"{(_OPEN_MINUTE + minute) // 60:02d}:{(_OPEN_MINUTE + minute) % 60:02d} ET"
    for minute in range(24 * 60 - _OPEN_MINUTE)
)
"""New York time by minutes after the open: RTH opens at 09:30 there on every session day."""

PHRASES: Final[Mapping[Reason, str]] = {
    Reason.KILL_SWITCH_ACTIVE: "the kill switch is on",
    Reason.HALTED: "the desk is halted",
    Reason.IN_POSITION: "a trade is already open",
    Reason.DAILY_LOSS_LIMIT: "daily loss limit",
    Reason.WEEKLY_LOSS_LIMIT: "weekly loss limit",
    Reason.MONTHLY_LOSS_LIMIT: "monthly loss limit",
    Reason.MAX_TRADES_REACHED: "all trades of the day are used",
    Reason.CONSECUTIVE_LOSS_LOCKOUT: "locked out after losses in a row",
    Reason.COOLDOWN_ACTIVE: "cooling down after the last entry",
    Reason.FEED_NOT_LIVE: "the market data is not live",
    Reason.DVS_TOO_LOW: "data not clean enough",
    Reason.EQS_TOO_LOW: "execution not clean enough",
    Reason.MISSING_REQUIRED_SIGNAL: "a required signal is missing",
    Reason.SESSION_NOT_TRADABLE: "not a tradable part of the session",
    Reason.SESSION_WINDOW_BLOCK: "inside a no-trade window",
    Reason.VOL_SHOCK_LOCKOUT: "volatility shock lockout",
    Reason.SPREAD_SLIPPAGE_LOCKOUT: "spread or slippage lockout",
    Reason.NEWS_LOCKOUT: "news shock lockout",
    Reason.TEMPLATE_NOT_ALLOWED_BY_TIER: "not allowed at this equity",
    Reason.STOP_EXCEEDS_RISK_BUDGET: "the stop is wider than the risk budget",
    Reason.BELIEF_TOO_LOW: "belief too low",
    Reason.STABILITY_NOT_MET: "belief not steady enough",
    Reason.NOISE_VETO: "too much noise",
    Reason.STRATEGY_QUARANTINED: "the template is in quarantine",
    Reason.FRICTION_TOO_HIGH: "friction too high for the target",
    Reason.EDGE_SCORE_BELOW_THETA: "edge score below theta",
    Reason.NO_CANDIDATE: "belief without a setup",
}
"""What each reason says in a sentence, after "10:42 ET skip: "."""


AND: Final = "; "
ALL_OF: Final = "it would have taken all of: "
"""Before the needs of a counterfactual that is more than one change."""

_SIDES: Final = {int(side): side.name.lower() for side in Side}


def clock(minute: int) -> str:
    """New York time, `"10:42 ET"`, of an instant so many minutes after the open."""
    return CLOCKS[minute]


def clock_at(instant: datetime, rules: Rules) -> str:
    """Local time, `"10:42 ET"`, of an instant."""
    return f"{instant.astimezone(ZoneInfo(rules.session.timezone)):%H:%M} ET"


def side_name(side: int) -> str:
    """`"long"` or `"short"`."""
    return _SIDES[side]


def idea(name: str) -> str:
    """A constraint's or template's name as words: `"VWAP reversion"`."""
    return name.replace("_", " ").replace("vwap", "VWAP")


def usd(amount: Decimal) -> str:
    """`"$30.00"`, or `"-$17.48"`."""
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def result(net_usd: Decimal) -> str:
    """What a trade came to: `"made $12.51"`, `"lost $8.00"`, or `"came out even"`."""
    if net_usd == 0:
        return "came out even"
    return f"{'made' if net_usd > 0 else 'lost'} {usd(abs(net_usd))}"


def times(count: int, noun: str, plural: str = "") -> str:
    """`"1 order"`, `"2 orders"`."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def counterfactual(needs: Sequence[str]) -> str:
    """The smallest change that would have been an entry: one need, or honestly more than one."""
    joined = AND.join(needs)
    if not joined:
        return ""
    return f"{ALL_OF}{joined}" if AND in joined else f"needs {joined}"


def lacking(what: str, needed: float, had: float | None) -> str:
    """`"F1 long 0.65, was 0.61"`, with more decimals where two would hide the difference."""
    if had is None:
        return f"{what} {needed:.2f}, was unknown"
    digits = 4 if f"{needed:.2f}" == f"{had:.2f}" else 2
    return f"{what} {needed:.{digits}f}, was {had:.{digits}f}"


def needs_of(text: str) -> str:
    """The needs inside a counterfactual, to be joined to others."""
    return text.removeprefix(ALL_OF).removeprefix("needs ")


def skip_sentence(minute: int, reason: Reason, detail: str) -> str:
    """`"10:42 ET skip: belief too low. <detail>."`; the minute is that of the decision instant."""
    return clock(minute) + skip_tail(reason, detail)


def skip_tail(reason: Reason, detail: str) -> str:
    """A skip's sentence without its clock."""
    tail = f". {detail[0].upper()}{detail[1:]}." if detail else "."
    return f" skip: {PHRASES[reason]}{tail}"


def trade_sentence(
    minute: int, act: str, trade: str, *, gained_ticks: int, risk_ticks: int, detail: str
) -> str:
    """One bar of an open trade: `"10:43 ET hold K1 long: +4 ticks (+0.50 R). <detail>."`.

    `act` is "hold", "modify" or "exit"; `risk_ticks` is the stop distance at entry, 1 R.
    """
    result = f"{gained_ticks:+d} ticks ({gained_ticks / risk_ticks:+.2f} R)"
    tail = f" {detail[0].upper()}{detail[1:]}." if detail else ""
    return f"{clock(minute)} {act} {trade}: {result}.{tail}"


def render_decision(payload: Mapping[str, Any]) -> str:
    """A journalled decision as the CLI prints it: the sentence, and below it what was missing."""
    missing = payload["counterfactual"]
    return f"{payload['sentence']}\n    {missing}" if missing else str(payload["sentence"])
