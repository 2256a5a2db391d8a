"""Where each planted trade ended: its bracket met bar by bar, or the market exit asked for."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.learning.planted.ways import Flags, Ints, Ways
from engine.trade import ExitKind

TIME_STOP: Final = 20


@dataclass(frozen=True, slots=True)
class Exits:
    """Bar, kind and decided price of each exit; a market exit is decided at its bar's close."""

    bar: Ints
    kind: list[str]
    ticks: Ints
    is_bracket: Flags


def exits(ways: Ways, exit_belief: float) -> Exits:
    """How the trades ended as they were carried out, at a belief below this one at the latest."""
    bars = np.arange(ways.close.shape[1])[None, :]
    is_locked = (ways.locked_from > 0)[:, None] & (bars > ways.locked_from[:, None])
    stops = np.where(is_locked, ways.locked_ticks[:, None], -ways.stop[:, None])
    ways_out = {
        ExitKind.STOP: _first(ways.low <= stops),
        ExitKind.TARGET: _first(ways.high > ways.target[:, None]),
        ExitKind.KILL: np.where(ways.out_at > 0, ways.out_at, bars.size),
        ExitKind.THESIS: _first(ways.belief < exit_belief),
        ExitKind.TIME_STOP: np.full(ways.stop.size, TIME_STOP),
    }
    kinds = list(ways_out)
    first = np.argmin(np.stack(list(ways_out.values())), axis=0)  # The earlier kind of a tie.
    rows = np.arange(first.size)
    bar = np.stack(list(ways_out.values()))[first, rows]
    stopped_at = np.minimum(stops[rows, bar], ways.open[rows, bar])
    ticks = np.select([first == 0, first == 1], [stopped_at, ways.target], ways.close[rows, bar])
    was_locked = is_locked[rows, bar] & (first == 0)
    kind = [
        ExitKind.PROTECTED_STOP.value if locked else kinds[number].value
        for number, locked in zip(first, was_locked, strict=True)
    ]
    return Exits(bar, kind, ticks, first <= 1)


def barrier(ways: Ways, stop: Ints, target: Ints) -> tuple[Ints, Flags]:
    """Gross ticks of a stop and a target left alone for the time stop, and if the target won."""
    to_stop = _first(ways.low <= -stop[:, None])
    to_target = _first(ways.high > target[:, None])
    at_end = ways.close[:, TIME_STOP]
    is_won = (to_target < to_stop) & (to_target <= TIME_STOP)
    is_lost = (to_stop <= to_target) & (to_stop <= TIME_STOP)
    return np.select([is_won, is_lost], [target, -stop], at_end), is_won


def _first(flags: Flags) -> Ints:
    """Index of the first bar after the decision that holds; one past the last if none does."""
    after = flags.copy()
    after[:, 0] = False
    first: Ints = np.where(after.any(axis=1), np.argmax(after, axis=1), flags.shape[1])
    return first
