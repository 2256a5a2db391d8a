"""How a person reads the gates that a decision records: in words, and whether each one held.

What is tested is shown, which is not always what is recorded: a loss limit is asked whether it
leaves room for the smallest trade, the cooldown whether it is over. The gate that gave the reason
never holds; a reason that no number of the record stands for has a row of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import ge, gt, lt
from typing import Any, Final

from engine.broker import FeedState
from engine.ladder import Reason
from engine.risk import smallest_worst_case_usd
from engine.rules import Rules
from engine.wording import PHRASES
from pipelines.journal_words import new_york


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A gate as it is shown; `holds` is null for one that asks for nothing."""

    words: str
    value: object
    asks: str = ""
    holds: bool | None = None
    is_reason: bool = False


Judge = Callable[[Any, datetime, Rules], tuple[object, str, bool]]
"""Value, instant of the decision and rules, to the value shown, what is asked for, the verdict."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a record: `group` is `own` or `market`; a null value holds where it says so.

    `reasons` are those that it gives; a gate that is more than a comparison has a `judge`.
    """

    group: str
    name: str
    words: str
    sign: str = ""
    null_holds: bool = False
    reasons: tuple[Reason, ...] = ()
    judge: Judge | None = None

    def holds(self, value: float | None, limit: float) -> bool | None:
        """Whether the value satisfies the limit; null for a gate that has none."""
        compare = _SIGNS.get(self.sign)
        if compare is None:
            return None
        return self.null_holds if value is None else compare(value, limit)

    def row(self, value: Any, limit: Any, at: datetime, rules: Rules) -> GateRow:
        """What it says of a recorded value at the instant of the decision."""
        if self.judge is not None:
            left = value if limit is None else round(value - limit, 2)
            shown, asks, holds = self.judge(left, at, rules)
            return GateRow(words=self.words, value=shown, asks=asks, holds=holds)
        if isinstance(value, dict):
            value = ", ".join(f"{name} {standing}" for name, standing in value.items()) or None
        if limit is None:
            return GateRow(words=self.words, value=value)
        asks = f"{self.sign} {limit:g}"
        return GateRow(words=self.words, value=value, asks=asks, holds=self.holds(value, limit))


def gate_rows(record: Mapping[str, Any], at: datetime, rules: Rules) -> list[GateRow]:
    """The gates of a decision's record in the order of the ladder; the one that refused says so."""
    reason = Reason(record["reason"]) if record["reason"] else None
    rows: list[GateRow] = []
    for gate in GATES:
        recorded = record[gate.group] or {}
        if gate.name not in recorded:
            continue
        pair = recorded[gate.name]
        value, limit = pair if isinstance(pair, list) else (pair, None)
        row = gate.row(value, limit, at, rules)
        gave = reason in gate.reasons and not (row.holds and reason in _SHARED)
        rows.append(replace(row, holds=False, is_reason=True) if gave else row)
    if reason is not None and not any(row.is_reason for row in rows):
        rows.append(_row_of_its_own(reason, record))
    return rows


def _row_of_its_own(reason: Reason, record: Mapping[str, Any]) -> GateRow:
    """A reason that no number of the record stands for: what the templates lack, or the session."""
    asks = _ASKED_ELSEWHERE.get(reason, "")
    if not asks:
        asks = "see the candidates below" if record["scores"] else "see the beliefs below"
    return GateRow(words=PHRASES[reason], value=None, asks=asks, holds=False, is_reason=True)


def _off(lock: Any, _at: datetime, _rules: Rules) -> tuple[object, str, bool]:
    return lock, "neither", lock is None


def _room(left_usd: Any, _at: datetime, rules: Rules) -> tuple[object, str, bool]:
    least_usd = float(smallest_worst_case_usd(rules))
    return left_usd, f"≥ {least_usd:g}, the smallest risk", left_usd >= least_usd


def _over(ends_at: Any, at: datetime, _rules: Rules) -> tuple[object, str, bool]:
    asks = f"by {new_york(at):%H:%M:%S}"
    if ends_at is None:
        return None, asks, True
    end = datetime.fromisoformat(ends_at)
    return f"{new_york(end):%H:%M:%S}", asks, end <= at


def _live(feed: Any, _at: datetime, _rules: Rules) -> tuple[object, str, bool]:
    return feed, "live, where awaited", feed in (None, FeedState.LIVE)


def _known(value: Any, _at: datetime, _rules: Rules) -> tuple[object, str, bool]:
    return value, "known", value is not None


_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {"≥": ge, ">": gt, "<": lt}

_SHARED: Final = (
    Reason.SESSION_NOT_TRADABLE,
    Reason.SESSION_WINDOW_BLOCK,
    Reason.TEMPLATE_NOT_ALLOWED_BY_TIER,
)
"""Reasons that a number gives only where it fails; else they are about something not recorded."""

_ASKED_ELSEWHERE: Final = {
    Reason.MISSING_REQUIRED_SIGNAL: "every signal that an entry reads",
    Reason.SESSION_NOT_TRADABLE: "a part of the session that is traded",
    Reason.SESSION_WINDOW_BLOCK: "a time outside of every such window",
}

GATES: Final = (
    Gate(
        "own",
        "lock",
        "kill switch or halt",
        reasons=(Reason.KILL_SWITCH_ACTIVE, Reason.HALTED),
        judge=_off,
    ),
    Gate("own", "positions", "open positions", "<", reasons=(Reason.IN_POSITION,)),
    Gate(
        "own",
        "net_usd_today",
        "left to lose today, USD",
        reasons=(Reason.DAILY_LOSS_LIMIT,),
        judge=_room,
    ),
    Gate(
        "own",
        "net_usd_this_week",
        "left to lose this week, USD",
        reasons=(Reason.WEEKLY_LOSS_LIMIT,),
        judge=_room,
    ),
    Gate(
        "own",
        "net_usd_this_month",
        "left to lose this month, USD",
        reasons=(Reason.MONTHLY_LOSS_LIMIT,),
        judge=_room,
    ),
    Gate("own", "trades_today", "trades today", "<", reasons=(Reason.MAX_TRADES_REACHED,)),
    Gate(
        "own",
        "loss_streak",
        "losses in a row, if one was today",
        "<",
        reasons=(Reason.CONSECUTIVE_LOSS_LOCKOUT,),
    ),
    Gate(
        "own",
        "cooldown_ends_at",
        "cooldown ends",
        reasons=(Reason.COOLDOWN_ACTIVE,),
        judge=_over,
    ),
    Gate(
        "own",
        "equity_usd",
        "equity, USD",
        reasons=(Reason.TEMPLATE_NOT_ALLOWED_BY_TIER,),
        judge=_known,
    ),
    Gate("own", "standings", "learning"),
    Gate("own", "feed", "market data", reasons=(Reason.FEED_NOT_LIVE,), judge=_live),
    Gate("market", "dvs", "data validity score", "≥", reasons=(Reason.DVS_TOO_LOW,)),
    Gate("own", "eqs", "execution quality score", "≥", reasons=(Reason.EQS_TOO_LOW,)),
    Gate(
        "market",
        "minutes_to_close",
        "minutes to the close",
        ">",
        reasons=(Reason.SESSION_NOT_TRADABLE, Reason.SESSION_WINDOW_BLOCK),
    ),
    Gate(
        "market",
        "minutes_since_volatility",
        "minutes since a volatility shock",
        "≥",
        null_holds=True,
        reasons=(Reason.VOL_SHOCK_LOCKOUT,),
    ),
    Gate(
        "market",
        "minutes_since_wide",
        "minutes since a wide spread",
        "≥",
        null_holds=True,
        reasons=(Reason.SPREAD_SLIPPAGE_LOCKOUT,),
    ),
    Gate(
        "market",
        "minutes_since_news",
        "minutes since a news shock",
        "≥",
        null_holds=True,
        reasons=(Reason.NEWS_LOCKOUT,),
    ),
    Gate("market", "slippage_ticks", "expected slippage a side, ticks", "<"),
    Gate("market", "friction_ticks", "friction of a round trip, ticks"),
    Gate("market", "atr_14_ticks", "ATR14, ticks"),
    Gate("market", "vwap_z", "distance from VWAP, deviations"),
    Gate("market", "regime", "regime"),
)
"""Every gate of a decision's record but the beliefs, in the order of the ladder."""
