"""The state of learning after a night: how far each template is trusted, and where it earns.

A night is a function of the night before, the session's trades and its shadow trades. Doing it
again changes nothing; a corrected trade changes that night and those after it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

import orjson
import polars as pl

from engine.errors import MissingContext
from engine.learning.reliability import (
    Reliability,
    Result,
    Trigger,
    Trust,
    TrustChanged,
    expectancy_r,
    learn_all,
    standing,
    win_rate,
)
from engine.own_view import Standing
from engine.rules import ReliabilityRules, Rules

LEARNING_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "template": pl.String(),
    "regime": pl.String(),
    "phase": pl.Int8(),
    "trust": pl.String(),
    "trigger": pl.String(),
    "modifier": pl.Float64(),
    "is_quarantined": pl.Boolean(),
    "wins_since": pl.Int32(),
    "shadow_wins": pl.Int32(),
    "results": pl.Int32(),
    "shadow_results": pl.Int32(),
    "wins": pl.Int32(),
    "win_rate": pl.Float64(),
    "win_rate_low": pl.Float64(),
    "win_rate_high": pl.Float64(),
    "expectancy_r": pl.Float64(),
    "profit_factor": pl.Float64(),
    "streak": pl.Int32(),
    "drawdown_r": pl.Float64(),
    "slippage_ticks_mean": pl.Float64(),
    "change": pl.String(),
    "results_json": pl.String(),
}
"""Columns of `learning_state`. Key: symbol, session_date, template, regime, phase.

A row without regime and phase is the template's own: it alone has a trust, and what follows from
it. The others say where its results came from. Each looks at its own newest results.
"""

Cell = tuple[str | None, int | None]
"""Regime and phase; both null for the template as a whole."""

_WHOLE: Final[Cell] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What one night learned: the rows of `LEARNING_COLUMNS`, and every change of trust."""

    state: pl.DataFrame
    changes: tuple[TrustChanged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A result and the cell it fell into."""

    cell: Cell
    result: Result


def next_learning(
    before: pl.DataFrame,
    trades: pl.DataFrame,
    shadows: pl.DataFrame,
    session_date: date,
    rules: Rules,
) -> Night:
    """The state after a session, from that of the session before (empty for the first).

    `trades` needs template, regime, phase, closed_at, net_r and entry_slippage_ticks; a trade
    nobody decided on has no template and teaches nothing, every other one counts in full. Only a
    template that was in quarantine during the session learns from its `shadows`
    (`SHADOW_COLUMNS`).
    """
    law, symbol = rules.learning.reliability, rules.instrument.symbol
    rows: list[dict[str, Any]] = []
    changes: list[TrustChanged] = []
    for block in sorted(rules.strategies.templates, key=lambda block: block.id):
        known = _windows(before, block.id)
        own = _reliability(before, block.id, known.get(_WHOLE, ()))
        results = _results(trades, shadows, block.id, session_date, is_shadow=own.is_quarantined)
        own, changed = learn_all(own, (seen.result for seen in results), law)
        changes += changed
        text = "; ".join(change.text for change in changed)
        rows.append(
            {"template": block.id, **_trust_row(own, law), **_cell_row(_WHOLE, own.window, text)}
        )
        rows += [
            {"template": block.id, **_cell_row(cell, window, "")}
            for cell, window in _with_results(known, results, law)
        ]
    named = [{"symbol": symbol, "session_date": session_date, **row} for row in rows]
    return Night(
        state=pl.DataFrame(named, schema=LEARNING_COLUMNS, orient="row"), changes=tuple(changes)
    )


def standings(state: pl.DataFrame, rules: Rules) -> Mapping[str, Standing]:
    """What the next session is told of each template; raises `MissingContext` if one is missing."""
    law = rules.learning.reliability
    found = {each.template: standing(each, law) for each in reliabilities(state)}
    for block in rules.strategies.templates:
        if block.id not in found:
            raise MissingContext(
                f"learning state: expected a row of template {block.id}, found "
                f"{', '.join(found) or 'none'}; run the night of the last session again"
            )
    return found


def reliabilities(state: pl.DataFrame) -> list[Reliability]:
    """The templates of a state, without cells."""
    own = state.filter(pl.col("regime").is_null() & pl.col("phase").is_null())
    return [_reliability(own, row["template"], _window(row)) for row in own.to_dicts()]


def _reliability(state: pl.DataFrame, template: str, window: Sequence[Result]) -> Reliability:
    own = state.filter(pl.col("trust").is_not_null(), template=template)
    if own.is_empty():
        return Reliability(template=template)
    row = own.row(0, named=True)
    return Reliability(
        template=template,
        trust=Trust(row["trust"]),
        trigger=None if row["trigger"] is None else Trigger(row["trigger"]),
        window=tuple(window),
        wins_since=row["wins_since"],
        shadow_wins=row["shadow_wins"],
    )


def _windows(state: pl.DataFrame, template: str) -> dict[Cell, tuple[Result, ...]]:
    if state.is_empty():
        return {}
    rows = state.filter(template=template).to_dicts()
    return {(row["regime"], row["phase"]): _window(row) for row in rows}


def _window(row: Mapping[str, Any]) -> tuple[Result, ...]:
    """The results of a stored row; those of older nights also hold a weight, which says nothing."""
    return tuple(
        Result(
            session_date=date.fromisoformat(each["session_date"]),
            net_r=each["net_r"],
            is_shadow=each["is_shadow"],
            slippage_ticks=each["slippage_ticks"],
        )
        for each in orjson.loads(row["results_json"])
    )


def _results(
    trades: pl.DataFrame,
    shadows: pl.DataFrame,
    template: str,
    session_date: date,
    *,
    is_shadow: bool,
) -> list[_Seen]:
    """What the template is to learn from, in order of time."""
    found = [
        _seen(row, session_date, slip=row["entry_slippage_ticks"])
        for row in trades.filter(template=template).sort("closed_at").to_dicts()
    ]
    if not is_shadow:
        return found
    own = shadows.filter(template=template).sort("decided_at").to_dicts()
    followed = [_seen(row, session_date, slip=None) for row in own]
    return found + [replace(each, result=replace(each.result, is_shadow=True)) for each in followed]


def _seen(row: Mapping[str, Any], session_date: date, *, slip: float | None) -> _Seen:
    result = Result(session_date=session_date, net_r=row["net_r"], slippage_ticks=slip)
    return _Seen(cell=(row["regime"], row["phase"]), result=result)


def _with_results(
    known: Mapping[Cell, tuple[Result, ...]], results: Iterable[_Seen], law: ReliabilityRules
) -> list[tuple[Cell, tuple[Result, ...]]]:
    """Every cell that has ever had a result, with its newest ones, in a fixed order."""
    windows = {cell: window for cell, window in known.items() if cell != _WHOLE}
    for seen in results:
        windows[seen.cell] = (*windows.get(seen.cell, ()), seen.result)[-law.window :]
    return sorted(windows.items(), key=lambda item: (item[0][0] or "", item[0][1] or 0))


def _trust_row(own: Reliability, law: ReliabilityRules) -> dict[str, Any]:
    told = standing(own, law)
    return {
        "trust": own.trust.value,
        "trigger": None if own.trigger is None else own.trigger.value,
        "modifier": told.modifier,
        "is_quarantined": told.is_quarantined,
        "wins_since": own.wins_since,
        "shadow_wins": own.shadow_wins,
    }


def _cell_row(cell: Cell, window: Sequence[Result], change: str) -> dict[str, Any]:
    from scipy.stats import binomtest  # Dear to import, and only a night needs it.

    wins = sum(result.is_win for result in window)
    rate = binomtest(wins, len(window)).proportion_ci(method="wilson") if window else None
    slips = [each.slippage_ticks for each in window if each.slippage_ticks is not None]
    return {
        "regime": cell[0],
        "phase": cell[1],
        "results": len(window),
        "shadow_results": sum(result.is_shadow for result in window),
        "wins": wins,
        "win_rate": win_rate(window),
        "win_rate_low": None if rate is None else float(rate.low),
        "win_rate_high": None if rate is None else float(rate.high),
        "expectancy_r": expectancy_r(window),
        "profit_factor": _profit_factor(window),
        "streak": _streak(window),
        "drawdown_r": _drawdown_r(window),
        "slippage_ticks_mean": sum(slips) / len(slips) if slips else None,
        "change": change,
        "results_json": orjson.dumps([asdict(each) for each in window]).decode(),
    }


def _profit_factor(window: Sequence[Result]) -> float | None:
    """What was won over what was lost; null while nothing was lost."""
    lost = -sum(result.net_r for result in window if not result.is_win)
    return sum(result.net_r for result in window if result.is_win) / lost if lost > 0 else None


def _streak(window: Sequence[Result]) -> int:
    """Wins in a row at the end, or losses as a negative number."""
    streak = 0
    for result in window:
        step = 1 if result.is_win else -1
        streak = streak + step if streak * step > 0 else step
    return streak


def _drawdown_r(window: Sequence[Result]) -> float:
    """The deepest fall below an earlier height, in multiples of the risk."""
    height = total = deepest = 0.0
    for result in window:
        total += result.net_r
        height = max(height, total)
        deepest = max(deepest, height - total)
    return deepest
