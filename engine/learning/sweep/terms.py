"""The numbers of a set that manage an open trade, and the range of them in which it is the same."""

from math import inf
from typing import Final, NamedTuple

from engine.execution_quality import Trouble
from engine.own_scores import template_of
from engine.rules import Rules
from engine.trade import TradeClosed


class Terms(NamedTuple):
    """The numbers of a set that manage an open trade of one template."""

    thesis_min: float
    belief_min: float
    time_stop_minutes: float
    profit_ticks: float


THESIS: Final = Terms._fields.index("thesis_min")
BELIEF: Final = Terms._fields.index("belief_min")
TIME: Final = Terms._fields.index("time_stop_minutes")
PROFIT: Final = Terms._fields.index("profit_ticks")


class Played(NamedTuple):
    """How a lone trade ended, and every `Terms` under which it ends so: above `low`, up to `high`.

    `opened_us` is null for an entry that never filled. `free_from` is the row at whose close the
    desk is idle again. `troubles` cost execution quality; with their minute of the session.
    """

    closed: TradeClosed
    opened_us: int | None
    net_cents: int
    free_from: int
    troubles: tuple[tuple[Trouble, int], ...]
    low: Terms
    high: Terms


class Span:
    """The range of terms in the making: every bar may narrow it."""

    def __init__(self) -> None:
        self._low = [-inf] * len(Terms._fields)
        self._high = [inf] * len(Terms._fields)

    def above(self, which: int, value: float) -> None:
        """The same only for a term above this value."""
        self._low[which] = max(self._low[which], value)

    def up_to(self, which: int, value: float) -> None:
        """The same only for a term up to this value."""
        self._high[which] = min(self._high[which], value)

    @property
    def bounds(self) -> tuple[Terms, Terms]:
        """Below all of them, and the last of them."""
        return Terms(*self._low), Terms(*self._high)


def terms_of(template_id: str, stop_ticks: int, rules: Rules) -> Terms:
    """What the rules say of an open trade of this template with this stop."""
    block = template_of(template_id, rules)
    return Terms(
        rules.strategies.thesis_belief_min,
        block.belief_min,
        block.time_stop_minutes,
        rules.trade.profit_protection_r * stop_ticks,
    )
