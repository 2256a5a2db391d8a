"""What a closed bar leads to: its record, its decision, and what an open trade needs."""

from datetime import datetime
from typing import Final, NamedTuple

from engine.broker import Leg, ReplaceStop
from engine.decision import Action, Decision, decide, decision_payload, managed
from engine.desk.care import close_trade
from engine.desk.facts import BarSeen, DataQualityChanged, Recording
from engine.desk.state import DVS_LEVEL_BEST
from engine.desk.turn import Turn
from engine.journal import Entry, Kind
from engine.kill import KillCause, quality_trigger
from engine.market import MarketRow, Setup
from engine.own_scores import Score
from engine.own_view import OwnView
from engine.rules import Constitution, Rules
from engine.strategies.protocol import SetupView, Strategy
from engine.strategies.registry import template
from engine.trade import (
    Exit,
    ExitKind,
    Hold,
    StopMoved,
    Tighten,
    Trade,
    TradePlan,
    TradePlanned,
    TradeState,
    manage,
)
from engine.units import DecisionId
from engine.wording import side_name, trade_sentence

_DETAILS: Final = {
    ExitKind.FLATTEN_TIME: "nothing is held past the flatten time",
    ExitKind.KILL: "the kill switch is on",
    ExitKind.QUALITY: "data or execution is too doubtful to hold",
    ExitKind.THESIS: "the belief it was made on is gone",
    ExitKind.OPPOSITE_BELIEF: "the other side is believed now",
    ExitKind.TIME_STOP: "its time is over",
}

# Every bar makes two entries. A plain text is what SQLite binds at once, a member of an enumeration
# costs a call to look up and another to bind; `__new__` spares the call of the class.
BAR: Final = Kind.BAR.value
DECISION: Final = Kind.DECISION.value
_TRADES: Final = Recording.TRADES
_new: Final = tuple.__new__

_TIMES: Final = tuple(f"{hour:02d}{minute:02d}" for hour in range(24) for minute in range(60))


def decision_id_of(symbol: str, at: datetime) -> DecisionId:
    """`MES-1442`: symbol and UTC time of the bar's close."""
    return DecisionId(f"{symbol}-{_TIMES[60 * at.hour + at.minute]}")


def bar_entry(row: MarketRow) -> Entry:
    """The record of a bar: the market's text, or its bare prices where no text was asked for."""
    text = row.bar_json or (
        f'{{"open_ticks":{row.open_ticks},"high_ticks":{row.high_ticks},'
        f'"low_ticks":{row.low_ticks},"close_ticks":{row.close_ticks}}}'
    )
    return _new(Entry, (BAR, row.closes_at, text, "", ""))


def decision_entry(decision: Decision, row: MarketRow, own: OwnView) -> Entry:
    """The record of a decision."""
    payload = decision_payload(decision, row, own)
    return _new(
        Entry, (DECISION, row.closes_at, payload, decision_id_of(row.symbol, row.closes_at), "")
    )


def dvs_level(dvs: float, law: Constitution) -> int:
    """How many of the three gates (kill, hold, enter) a data validity score passes."""
    return (dvs >= law.dvs_kill_below) + (dvs >= law.dvs_hold_min) + (dvs >= law.dvs_entry_min)


def close_bar(turn: Turn, row: MarketRow, own: OwnView, eqs: float) -> Decision:
    """A bar on which more than a record may be called for; the caller asks `own` after a kill."""
    trade = turn.state.trade
    if trade is None:
        decision = decide(row, own, turn.rules)
        _record(turn, decision, row, own)
        if decision.action is Action.ENTER and decision.chosen is not None:
            _plan(turn, row, decision.chosen, decision.scores)
        return decision
    asked = manage(trade, row, kill=turn.state.kill, eqs=eqs, rules=turn.rules)
    if trade.state is not TradeState.OPEN and not (
        isinstance(asked, Exit) and trade.state is TradeState.PENDING
    ):
        asked = Hold()
    decision = _managed(trade, asked, row, turn.rules)
    _record(turn, decision, row, own)
    if isinstance(asked, Exit):
        close_trade(turn, asked.kind)
    elif isinstance(asked, Tighten):
        _tighten(turn, trade, asked)
    return decision


def see_bar(turn: Turn, row: MarketRow, eqs: float) -> None:
    """Book the bar, and kill for data or execution that has become too bad."""
    turn.entries.append(bar_entry(row))
    seen = BarSeen(
        at=row.closes_at,
        high_ticks=row.high_ticks,
        low_ticks=row.low_ticks,
        close_ticks=row.close_ticks,
    )
    turn.apply(seen)
    session = turn.state.session
    level = dvs_level(row.dvs, turn.rules.constitution)
    is_full = session is not None and session.recording is Recording.FULL
    if is_full and level != turn.state.dvs_level:
        turn.note(DataQualityChanged(at=row.closes_at, level=level, dvs=row.dvs))
    if not turn.state.kill.is_killed:
        trigger: tuple[KillCause, str] | None = quality_trigger(
            row.dvs, eqs, turn.rules.constitution
        )
        if trigger is not None:
            turn.kill(*trigger)


def is_quality_news(level_before: int, dvs: float, recording: Recording, law: Constitution) -> bool:
    """Whether a bar's data validity score calls for more than the bar's record."""
    if recording is _TRADES:
        return dvs < law.dvs_kill_below
    return level_before != DVS_LEVEL_BEST or dvs < law.dvs_entry_min


def _record(turn: Turn, decision: Decision, row: MarketRow, own: OwnView) -> None:
    turn.entries.append(decision_entry(decision, row, own))


def _managed(trade: Trade, asked: Hold | Tighten | Exit, row: MarketRow, rules: Rules) -> Decision:
    act, cause, detail = Action.HOLD, trade.state.value, ""
    if isinstance(asked, Exit):
        act, cause, detail = Action.EXIT, asked.kind.value, _DETAILS[asked.kind]
    elif isinstance(asked, Tighten):
        act, cause = Action.MODIFY, asked.cause
        price = rules.instrument.to_points(asked.stop_price_ticks)
        detail = f"the stop moves to {price} ({asked.cause.replace('_', ' ')})"
    elif trade.state is not TradeState.OPEN:
        detail = f"the trade is {trade.state.value}"
    sentence = trade_sentence(
        row.minute + 1,
        act.value.lower(),
        f"{trade.plan.template} {side_name(trade.plan.side)}",
        gained_ticks=trade.gained_ticks(row.close_ticks),
        risk_ticks=trade.plan.stop_distance_ticks,
        detail=detail,
    )
    return managed(act, cause, sentence)


def _tighten(turn: Turn, trade: Trade, asked: Tighten) -> None:
    decision_id = trade.plan.decision_id
    turn.note(
        StopMoved(
            at=turn.at,
            decision_id=decision_id,
            from_ticks=trade.stop_price_ticks,
            to_ticks=asked.stop_price_ticks,
            cause=asked.cause,
        )
    )
    for order in turn.state.orders.of(decision_id, Leg.STOP):
        if order.is_live:
            turn.send(ReplaceStop(ref=order.ref, stop_ticks=asked.stop_price_ticks), decision_id)


def _plan(turn: Turn, row: MarketRow, chosen: Setup, scores: tuple[Score, ...]) -> None:
    """Plan the entry, and ask the broker where we stand before it is sent."""
    score = next(s for s in scores if s.template == chosen.template)
    judged = Judged(
        score.belief, chosen.instability, score.p_win, score.edge, score.euc, score.theta
    )
    strategy = template(chosen.template, turn.rules)
    plan = plan_of(strategy, row, chosen, judged, turn.rules)
    turn.note(TradePlanned(at=turn.at, plan=plan))
    turn.ask("before entry", at_once=True)


class Judged(NamedTuple):
    """What a plan remembers of the score it was made on."""

    belief: float
    instability: float
    p_win: float
    edge: float
    euc: float
    theta: float


def plan_of(
    strategy: Strategy, row: MarketRow, setup: SetupView, judged: Judged, rules: Rules
) -> TradePlan:
    """The plan of an entry at the close of a bar, with what its trade will be judged by."""
    entry = strategy.plan_entry(row, setup, rules)
    # A setup has a score, and a score needs ATR14: null cannot come this far.
    atr_ticks = row.atr_14_ticks or float(entry.stop_distance_ticks)
    return TradePlan(
        decision_id=decision_id_of(row.symbol, row.closes_at),
        decided_at=row.closes_at,
        symbol=row.symbol,
        template=entry.template,
        side=entry.side,
        quantity=rules.constitution.contracts_max,
        decision_price_ticks=row.close_ticks,
        entry_limit_ticks=entry.entry_limit_ticks,
        stop_price_ticks=entry.stop_price_ticks,
        target_price_ticks=entry.target_price_ticks,
        stop_distance_ticks=entry.stop_distance_ticks,
        target_distance_ticks=entry.target_distance_ticks,
        time_stop_minutes=entry.time_stop_minutes,
        entry_atr_14_ticks=atr_ticks,
        slippage_ticks=row.slippage_ticks or 0.0,
        friction_ticks=row.friction_ticks or 0.0,
        regime=row.regime,
        phase=row.phase,
        dvs=row.dvs,
        **judged._asdict(),
    )
