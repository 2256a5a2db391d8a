"""Outcomes: what would have happened had every template entered on every bar, on either side.

Entered at the next bar's open plus slippage and followed through the triple barrier on later bars:
the stop first where a bar touches both, with fees. Only what is over is known: a trade that the
bars do not follow to its end has no result.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.candidates import stop_ticks, target_ticks
from engine.measures import per_rules
from engine.rules import Rules, TemplateRules
from engine.strategies.registry import templates
from engine.units import Side

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class ExitKind(StrEnum):
    """What ended a counterfactual trade; `no_data` if it could not be entered or followed."""

    TARGET = "target"
    STOP = "stop"
    TIME = "time"
    FLATTEN = "flatten"
    NO_DATA = "no_data"


OUTCOME_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "closes_at": pl.Datetime("us", "UTC"),
    "minute": pl.Int32(),
    "template": pl.String(),
    "side": pl.Int8(),
    "stop_ticks": pl.Int32(),
    "target_ticks": pl.Int32(),
    "is_fallback_stop": pl.Boolean(),
    "entry_ticks": pl.Float64(),
    "exit_kind": pl.String(),
    "ticks_net": pl.Float64(),
    "bars_held": pl.Int32(),
    "mae_ticks": pl.Float64(),
    "mfe_ticks": pl.Float64(),
}
"""Columns of `outcomes`, in order. Key: symbol, closes_at, template, side.

`is_fallback_stop`: the template's own stop does not exist on this side of this bar (no failed
break, no sweep), so the contract's ATR multiple stands in. Entry includes slippage. With exit kind
`no_data` everything after it is null, and the entry too if there was none.
"""

_KINDS: Final = tuple(ExitKind)
_CODE: Final = {kind: code for code, kind in enumerate(_KINDS)}
_KIND_NAMES: Final = pl.Series([kind.value for kind in _KINDS])
_BRACKET: Final = ("stop_ticks", "target_ticks", "is_fallback_stop")
_MINUTES_PER_DAY: Final = 24 * 60


def outcomes(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`OUTCOME_COLUMNS` for every bar, template and side of a `market_frame`.

    Sorted by template, side (long first) and bar. An entry needs a next bar in the session that
    opens before the flatten time, and a known stop and slippage. The stop and an exit at a bar's
    close slip by the decision bar's expected slippage, the target does not. Where bars are missing,
    a trade ends at the first bar that shows its time is over. Holds about 1,000 bytes per bar while
    it works: give it partitions, not decades.
    """
    tape = _tape(frame, rules)
    columns = [column for template in templates(rules) for column in template.detect(rules).columns]
    brackets = frame.with_columns(columns).select(_brackets(rules))
    keys = frame.select("symbol", "session_date", "closes_at", "minute")
    blocks = sorted(rules.strategies.templates, key=lambda block: block.id)
    longest = max(block.time_stop_minutes for block in blocks)
    paths = {side: _path(tape, side, longest) for side in Side}
    parts = []
    for block in blocks:
        for side in Side:
            bracket = brackets.select(
                pl.col(f"{block.id}_{side:+d}_{name}").alias(name) for name in _BRACKET
            )
            ended = _follow(tape, paths[side], block, bracket, rules)
            parts.append(
                pl.concat([keys, bracket, ended], how="horizontal").with_columns(
                    template=pl.lit(block.id), side=pl.lit(int(side), pl.Int8)
                )
            )
    return pl.concat(parts).select(_finished())


@dataclass(frozen=True, slots=True)
class _Tape:
    """The bars as arrays. `clock` is minutes over all sessions, each a day long; it only rises.

    `session_end` is the index one past the session's last bar, `flat_at` that of the bar at whose
    close everything is flattened; it is at or past `session_end` when that bar is not there.
    """

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    clock: Ints
    session_end: Ints
    flat_at: Ints
    slippage: Floats
    may_open: Flags


@dataclass(frozen=True, slots=True)
class _Path:
    """One side's way from every entry: ticks gained and lost at most so far, both at least 0.

    Rows are bars held, from the entry bar on; columns are decision bars. `entry` is the price with
    slippage, NaN where that is unknown. Rows past the end of a trade hold other bars: do not read.
    """

    side: Side
    entry: Floats
    gained: Floats
    lost: Floats


@per_rules
def _brackets(rules: Rules) -> tuple[pl.Expr, ...]:
    """Stop and target of every template on either side, with the fallback where it has none."""
    least = rules.strategies.stop_ticks_min
    fallback = (rules.strategies.fallback_stop_atr * pl.col("atr_14_ticks")).ceil().cast(pl.Int32)
    brackets = []
    for template in templates(rules):
        for side in Side:
            own = stop_ticks(template, pl.lit(int(side)), rules)
            stop = pl.coalesce(own, fallback.clip(lower_bound=least))
            prefix = f"{template.id}_{side:+d}"
            brackets += [
                stop.alias(f"{prefix}_stop_ticks"),
                target_ticks(template, pl.lit(int(side)), stop, rules).alias(
                    f"{prefix}_target_ticks"
                ),
                own.is_null().alias(f"{prefix}_is_fallback_stop"),
            ]
    return tuple(brackets)


def _tape(frame: pl.DataFrame, rules: Rules) -> _Tape:
    def ints(name: str) -> Ints:
        return frame[name].cast(pl.Int64).to_numpy()

    flatten_minutes = rules.session.flatten_minutes_before_end
    session, minute = ints("session_key"), ints("minute")
    clock = session * _MINUTES_PER_DAY + minute
    closing = session * _MINUTES_PER_DAY + ints("session_minutes") - flatten_minutes
    session_end = np.searchsorted(session, session, side="right")
    following = np.minimum(np.arange(1, frame.height + 1), frame.height - 1)
    has_next = np.arange(1, frame.height + 1) < session_end
    return _Tape(
        open=ints("open_ticks"),
        high=ints("high_ticks"),
        low=ints("low_ticks"),
        close=ints("close_ticks"),
        clock=clock,
        session_end=session_end,
        flat_at=np.searchsorted(clock, closing - 1),
        slippage=frame["slippage_ticks"].fill_null(np.nan).to_numpy(),
        may_open=has_next & (clock[following] < closing),
    )


def _path(tape: _Tape, side: Side, longest: int) -> _Path:
    bars = tape.open.size
    padding = np.zeros(longest + 1, dtype=np.int64)
    best, worst = (tape.high, tape.low) if side is Side.LONG else (tape.low, tape.high)
    best, worst = np.concatenate([best, padding]), np.concatenate([worst, padding])
    entry = np.concatenate([tape.open[1:], padding[:1]]) + side * tape.slippage
    gained, lost = np.zeros((longest, bars)), np.zeros((longest, bars))
    most, least = np.zeros(bars), np.zeros(bars)
    for held in range(longest):
        window = slice(1 + held, 1 + held + bars)
        most = np.maximum(most, side * (best[window] - entry), out=gained[held])
        least = np.maximum(least, side * (entry - worst[window]), out=lost[held])
    return _Path(side=side, entry=entry, gained=gained, lost=lost)


def _follow(
    tape: _Tape, path: _Path, block: TemplateRules, bracket: pl.DataFrame, rules: Rules
) -> pl.DataFrame:
    """How every trade of one template and side ended; a `no_data` row still has numbers."""
    stop, target = (
        bracket[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("stop_ticks", "target_ticks")
    )
    bars = np.arange(tape.open.size)
    first = np.minimum(bars + 1, bars.size - 1)
    kind, held = _ends(tape, path, block, stop, target, rules)
    is_stop, is_target = kind == _CODE[ExitKind.STOP], kind == _CODE[ExitKind.TARGET]
    last = first + held
    stopped_for = np.maximum(stop, path.side * (path.entry - tape.open[last]))
    at_close = path.side * (tape.close[last] - path.entry)
    gross = np.where(is_target, target, np.where(is_stop, -stopped_for, at_close))
    slipped = np.where(is_target, 0.0, tape.slippage)
    fees = 2 * rules.instrument.fee_ticks_per_side
    gained_before = np.where(held > 0, path.gained[held - 1, bars], 0.0)
    gained = np.where(is_target, target, path.gained[held, bars])
    return pl.DataFrame(
        {
            "entry_ticks": path.entry,
            "has_entry": tape.may_open,
            "kind": kind,
            "ticks_net": gross - slipped - fees,
            "bars_held": held + 1,
            "mae_ticks": np.where(is_stop, stopped_for, path.lost[held, bars]),
            "mfe_ticks": np.where(is_stop, gained_before, gained),
        }
    )


def _ends(
    tape: _Tape, path: _Path, block: TemplateRules, stop: Floats, target: Floats, rules: Rules
) -> tuple[Ints, Ints]:
    """Code of what ended each trade, and on which bar after its entry bar (0: on the entry bar)."""
    first = np.minimum(np.arange(1, stop.size + 1), stop.size - 1)
    to_stop = np.count_nonzero(path.lost < stop, axis=0)
    if rules.execution.limit_fills_on_touch:
        to_target = np.count_nonzero(path.gained < target, axis=0)
    else:
        to_target = np.count_nonzero(path.gained <= target, axis=0)
    timed_at = np.searchsorted(tape.clock, tape.clock[first] + block.time_stop_minutes - 1)
    ends_at = np.minimum(timed_at, tape.flat_at)
    bars_left = np.minimum(ends_at + 1, tape.session_end) - first
    conditions = {
        ExitKind.NO_DATA: ~tape.may_open | np.isnan(path.entry + stop + target),
        ExitKind.STOP: (to_stop <= to_target) & (to_stop < bars_left),
        ExitKind.TARGET: to_target < bars_left,
        ExitKind.FLATTEN: (tape.flat_at <= timed_at) & (ends_at < tape.session_end),
        ExitKind.TIME: ends_at < tape.session_end,
    }
    kind = np.select(
        list(conditions.values()), [_CODE[kind] for kind in conditions], _CODE[ExitKind.NO_DATA]
    )
    held = np.select(
        [kind == _CODE[ExitKind.STOP], kind == _CODE[ExitKind.TARGET]],
        [to_stop, to_target],
        bars_left - 1,
    )
    return kind, np.where(kind == _CODE[ExitKind.NO_DATA], 0, held)


def _finished() -> list[pl.Expr]:
    """`OUTCOME_COLUMNS`, with null wherever nothing is known."""
    is_known = pl.col("kind") != _CODE[ExitKind.NO_DATA]
    results = ("ticks_net", "bars_held", "mae_ticks", "mfe_ticks")
    finished: dict[str, pl.Expr] = {name: pl.when(is_known).then(pl.col(name)) for name in results}
    finished["entry_ticks"] = pl.when("has_entry").then(pl.col("entry_ticks").fill_nan(None))
    finished["exit_kind"] = pl.lit(_KIND_NAMES).gather(pl.col("kind"))
    return [
        finished.get(name, pl.col(name)).cast(dtype).alias(name)
        for name, dtype in OUTCOME_COLUMNS.items()
    ]
