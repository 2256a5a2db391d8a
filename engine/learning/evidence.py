"""What the stored rows say about the way of each trade: the facts that its cause is decided on.

Reads `trades`, the market's rows (bars, quality, signals, beliefs) and `outcomes`, and nothing that
was meant or remembered. Null means unknown, and an unknown fact decides nothing.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.beliefs import SIDE_NAMES, streams
from engine.learning.tape import Tape, tape_of
from engine.outcomes import ExitKind as OutcomeKind
from engine.rules import Rules
from engine.trade import ExitKind

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRADE_KEY: Final = ("symbol", "session_date", "trade_number")

_EPOCH: Final = date(1970, 1, 1).toordinal()

EVIDENCE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "trade_number": pl.Int32(),
    "counterfactual_ticks": pl.Float64(),
    "rival_template": pl.String(),
    "stored_dvs": pl.Float64(),
    "data_events": pl.Int32(),
    "has_adverse_shock": pl.Boolean(),
    "regime_at_exit": pl.String(),
    "belief_least": pl.Float64(),
    "bars_to_target": pl.Int32(),
    "bars_to_further": pl.Int32(),
}
"""Columns of the evidence, one row per trade.

`counterfactual_ticks` is the net result of the same template and side in `outcomes`;
`rival_template` another template whose own stop and target won from the same bar and side;
`belief_least` the least effective belief from the decision to the last close before the exit;
`bars_to_target` and `bars_to_further` count bars after the exit's, null where price never came
there within the session and the longest look.
"""

BRACKET_EXITS: Final = frozenset(
    {ExitKind.STOP.value, ExitKind.PROTECTED_STOP.value, ExitKind.TARGET.value}
)


def evidence(
    trades: pl.DataFrame, market: pl.DataFrame, outcomes: pl.DataFrame, rules: Rules
) -> pl.DataFrame:
    """`EVIDENCE_COLUMNS` of these trades, in their order.

    `market` and `outcomes` hold the sessions of the trades whole, of one symbol.
    """
    view = _view(market, rules)
    seen = [_of_trade(trade, view, rules) for trade in trades.iter_rows(named=True)]
    known = {name: kind for name, kind in EVIDENCE_COLUMNS.items() if name not in _JOINED}
    frame = pl.DataFrame(seen, schema=known, orient="row")
    return _with_outcomes(frame, trades, outcomes).select(*EVIDENCE_COLUMNS)


_JOINED: Final = frozenset({"counterfactual_ticks", "rival_template"})


@dataclass(frozen=True, slots=True)
class _View:
    """The market's rows as arrays; `beliefs` by template and side, NaN where unknown.

    `day` is the session's date as a number; `data_events` counts bars with an event before each
    bar and `shocks` shocks before it that went up and that went down, so both are one longer.
    """

    tape: Tape
    day: Ints
    dvs: Floats
    data_events: Ints
    shocks: dict[int, Ints]
    regime: list[str]
    beliefs: dict[tuple[str, int], Floats]

    def session(self, session_date: date) -> tuple[int, int]:
        """Index of a session's first bar, and one past its last."""
        number = session_date.toordinal() - _EPOCH
        first, end = np.searchsorted(self.day, [number, number + 1])
        return int(first), int(end)


def _view(market: pl.DataFrame, rules: Rules) -> _View:
    rows = market.sort("closes_at")
    is_shock = rows["is_shock"].to_numpy()
    body = (rows["close_ticks"] - rows["open_ticks"]).to_numpy()
    constraints = {constraint.id: constraint for constraint in rules.beliefs.constraints}
    beliefs = {
        (block.id, int(side)): rows[f"{prefix}_effective"].fill_null(np.nan).to_numpy()
        for block in rules.strategies.templates
        for prefix, side in streams(constraints[block.constraint])
    }
    return _View(
        tape=tape_of(rows),
        day=rows["session_date"].to_physical().to_numpy(),
        dvs=rows["dvs"].to_numpy(),
        data_events=_counted((rows["quality_events"] != "").to_numpy()),
        shocks={side: _counted(is_shock & (side * body > 0)) for side in map(int, SIDE_NAMES)},
        regime=rows["regime"].to_list(),
        beliefs=beliefs,
    )


def _counted(flags: npt.NDArray[np.bool_]) -> Ints:
    """How many hold before each index."""
    return np.concatenate([[0], np.cumsum(flags)])


def _of_trade(trade: dict[str, Any], view: _View, rules: Rules) -> dict[str, Any]:
    tape, side = view.tape, trade["side"]
    begin, end = view.session(trade["session_date"])
    is_bracket = trade["exit_kind"] in BRACKET_EXITS
    first = min(max(tape.first_held(trade["opened_at"]), begin), end)
    last = min(tape.last_held(trade["closed_at"], is_bracket=is_bracket), end - 1)
    held = slice(first, max(last + 1, first))
    known = min(tape.closed_by(trade["closed_at"]), end - 1)
    return {
        **{name: trade[name] for name in TRADE_KEY},
        "data_events": int(view.data_events[held.stop] - view.data_events[held.start]),
        "has_adverse_shock": bool(view.shocks[-side][held.stop] > view.shocks[-side][held.start]),
        "regime_at_exit": view.regime[known] if known >= begin else None,
        **_decided(trade, view, known),
        **_afterwards(trade, view, slice(held.stop, end), rules),
    }


def _decided(trade: dict[str, Any], view: _View, known: int) -> dict[str, Any]:
    """What the bar decided on is worth by now, and the least belief from it to the exit."""
    decided_at: datetime | None = trade["decided_at"]
    if decided_at is None:
        return {}
    index = view.tape.closed_by(decided_at)
    beliefs = view.beliefs[trade["template"], trade["side"]][index : known + 1]
    is_known = index >= 0 and not np.isnan(beliefs).all()
    return {
        "stored_dvs": float(view.dvs[index]) if index >= 0 else None,
        "belief_least": float(np.nanmin(beliefs)) if is_known else None,
    }


def _afterwards(trade: dict[str, Any], view: _View, rest: slice, rules: Rules) -> dict[str, Any]:
    """How soon after the exit price reached the target, and how soon a whole stop further.

    A bar that does both went further first. The target is reached as a limit order there would be
    filled.
    """
    if trade["stop_ticks"] is None:
        return {}
    tape, side = view.tape, trade["side"]
    law = rules.learning.attribution
    after = slice(rest.start, min(rest.start + law.timing_bars, rest.stop))
    best, worst = (tape.high, tape.low) if side > 0 else (tape.low, tape.high)
    through_ticks = 0 if rules.execution.limit_fills_on_touch else 1
    gained = side * (best[after] - trade["target_price_ticks"])
    further = side * (trade["exit_ticks"] - worst[after])
    return {
        "bars_to_target": _first(gained >= through_ticks),
        "bars_to_further": _first(further >= law.noise_further_stops * trade["stop_ticks"]),
    }


def _first(flags: npt.NDArray[np.bool_]) -> int | None:
    """Number of the first that holds, counted from 1; null if none does."""
    return int(np.argmax(flags)) + 1 if flags.any() else None


def _with_outcomes(
    frame: pl.DataFrame, trades: pl.DataFrame, outcomes: pl.DataFrame
) -> pl.DataFrame:
    """The counterfactual of each trade, and a template that would have won in its place."""
    decided = trades.select(*TRADE_KEY, "decided_at", "side", own="template")
    told = outcomes.filter(pl.col("exit_kind") != OutcomeKind.NO_DATA.value)
    told = told.rename({"closes_at": "decided_at"})
    possible = decided.join(
        told.drop("session_date"), on=["symbol", "decided_at", "side"], how="inner"
    )
    own = possible.filter(pl.col("template") == pl.col("own"))
    rivals = possible.filter(
        pl.col("template") != pl.col("own"),
        ~pl.col("is_fallback_stop"),
        pl.col("exit_kind") == OutcomeKind.TARGET.value,
        pl.col("ticks_net") > 0,
    )
    won = rivals.group_by(TRADE_KEY).agg(rival_template=pl.col("template").min())
    return frame.join(
        own.select(*TRADE_KEY, counterfactual_ticks="ticks_net"),
        on=TRADE_KEY,
        how="left",
        maintain_order="left",
    ).join(won, on=TRADE_KEY, how="left", maintain_order="left")
