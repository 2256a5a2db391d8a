"""How far a template is trusted: a small state machine fed with the results of its trades.

It learns from real trades, and while a template is quarantined from its shadow trades, which carry
the same costs; so what a quarantine looks at goes on moving, and it can be left. Learning adds
friction or closes a template. It has no way to loosen anything.

Every result counts in full. A weight that depends on the result, as luck does, would move the very
shares and means that it is meant to steady: the good results of a template with a few large wins
are its lucky ones, so it would be judged without them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import reduce
from typing import Final

from engine.errors import InputRefused
from engine.own_view import Standing
from engine.rules import ReliabilityRules


class Trust(StrEnum):
    """How far a template is trusted; on probation it is back, at the price of a throttled one."""

    ACTIVE = "active"
    THROTTLED = "throttled_1"
    THROTTLED_HARD = "throttled_2"
    QUARANTINED = "quarantined"
    PROBATION = "probation"


class Trigger(StrEnum):
    """What put a template into quarantine."""

    LOSSES_IN_A_ROW = "losses_in_a_row"
    EXPECTANCY = "expectancy"
    WIN_RATE = "win_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One finished trade of a template, in multiples of its risk after costs.

    `is_shadow` marks one that was followed and not traded.
    """

    session_date: date
    net_r: float
    is_shadow: bool = False
    slippage_ticks: float | None = None

    @property
    def is_win(self) -> bool:
        return self.net_r > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Where a template stands. `window` holds the newest results it is judged by, oldest first.

    `wins_since` counts real wins since it came back, `shadow_wins` the run of shadow wins.
    """

    template: str
    trust: Trust = Trust.ACTIVE
    trigger: Trigger | None = None
    window: tuple[Result, ...] = ()
    wins_since: int = 0
    shadow_wins: int = 0

    @property
    def is_quarantined(self) -> bool:
        return self.trust is Trust.QUARANTINED

    @property
    def win_rate(self) -> float | None:
        """Share of wins in the window; null without a result."""
        return win_rate(self.window)

    @property
    def expectancy_r(self) -> float | None:
        """Mean result of the window, in multiples of the risk; null without a result."""
        return expectancy_r(self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChanged:
    """A template's trust changed, and the numbers that caused it."""

    session_date: date
    template: str
    before: Trust
    after: Trust
    trigger: Trigger | None
    results: int
    win_rate: float | None
    expectancy_r: float | None
    text: str


def win_rate(results: Sequence[Result]) -> float | None:
    """Share of wins; null without a result."""
    return sum(result.is_win for result in results) / len(results) if results else None


def expectancy_r(results: Sequence[Result]) -> float | None:
    """Mean result, in multiples of the risk; null without a result."""
    return sum(result.net_r for result in results) / len(results) if results else None


def standing(reliability: Reliability, rules: ReliabilityRules) -> Standing:
    """What the next session's ladder and scores are told of the template."""
    match reliability.trust:
        case Trust.ACTIVE:
            return Standing()
        case Trust.THROTTLED | Trust.PROBATION:
            return Standing(modifier=rules.modifier_throttled)
        case Trust.THROTTLED_HARD:
            return Standing(modifier=rules.modifier_throttled_hard)
        case Trust.QUARANTINED:
            return Standing(modifier=rules.modifier_throttled_hard, is_quarantined=True)


def learn(
    before: Reliability, result: Result, rules: ReliabilityRules
) -> tuple[Reliability, TrustChanged | None]:
    """The standing after one more result, and the change to record if there was one.

    A shadow result of a template that trades for real is refused: it would count twice. A real
    one while quarantined counts: a trade that was open when the quarantine began.
    """
    if result.is_shadow and not before.is_quarantined:
        raise InputRefused(
            f"{before.template}: expected shadow results only in quarantine, got one of "
            f"{result.session_date} while {before.trust}; learn from its real trades"
        )
    seen = _with_result(before, result, rules)
    after = _left_quarantine(seen, rules) if seen.is_quarantined else _judged(seen, rules)
    if after.trust is before.trust:
        return after, None
    return after, _change(before, after, result)


def learn_all(
    before: Reliability, results: Iterable[Result], rules: ReliabilityRules
) -> tuple[Reliability, tuple[TrustChanged, ...]]:
    """Results in order; shadow results that fall outside a quarantine are passed over."""
    changes: list[TrustChanged] = []

    def step(state: Reliability, result: Result) -> Reliability:
        if result.is_shadow and not state.is_quarantined:
            return state
        after, change = learn(state, result, rules)
        changes.extend([change] if change else [])
        return after

    return reduce(step, results, before), tuple(changes)


def _with_result(state: Reliability, result: Result, rules: ReliabilityRules) -> Reliability:
    won = result.is_win
    return replace(
        state,
        window=(*state.window, result)[-rules.window :],
        wins_since=state.wins_since + (won and not result.is_shadow),
        shadow_wins=(state.shadow_wins + 1 if won else 0) if result.is_shadow else 0,
    )


def _judged(state: Reliability, rules: ReliabilityRules) -> Reliability:
    """A template that trades: into quarantine, throttled, or as trusted as its win rate says."""
    trigger = quarantine_trigger(state.window, rules)
    if trigger is not None:
        return replace(state, trust=Trust.QUARANTINED, trigger=trigger, wins_since=0, shadow_wins=0)
    if state.trust is Trust.PROBATION and state.wins_since < rules.wins_to_active:
        return state
    return replace(state, trust=_by_win_rate(state, rules), trigger=None)


def _left_quarantine(state: Reliability, rules: ReliabilityRules) -> Reliability:
    """Back on probation once shadow wins follow each other and no trigger would hold any more."""
    is_proved = state.shadow_wins >= rules.shadow_wins_in_a_row
    if not is_proved or quarantine_trigger(state.window, rules) is not None:
        return state
    return replace(state, trust=Trust.PROBATION, trigger=None, wins_since=0, shadow_wins=0)


def quarantine_trigger(window: Sequence[Result], rules: ReliabilityRules) -> Trigger | None:
    """The first trigger that holds over these results, oldest first; null if none does."""
    if not window:
        return None
    last = window[-rules.losses_in_a_row :]
    if len(last) == rules.losses_in_a_row and not any(result.is_win for result in last):
        return Trigger.LOSSES_IN_A_ROW
    mean, rate = expectancy_r(window), win_rate(window)
    if len(window) >= rules.expectancy_from and mean is not None and mean < 0:
        return Trigger.EXPECTANCY
    if len(window) >= rules.win_rate_from and rate is not None and rate < rules.win_rate_min:
        return Trigger.WIN_RATE
    return None


def _by_win_rate(state: Reliability, rules: ReliabilityRules) -> Trust:
    rate = state.win_rate
    if rate is None or len(state.window) < rules.throttle_from:
        return Trust.ACTIVE
    if rate < rules.throttle_hard_win_rate:
        return Trust.THROTTLED_HARD
    return Trust.THROTTLED if rate < rules.throttle_win_rate else Trust.ACTIVE


_CAUSES: Final = {
    Trigger.LOSSES_IN_A_ROW: "losses in a row",
    Trigger.EXPECTANCY: "a negative expectancy",
    Trigger.WIN_RATE: "a low win rate",
}


def _change(before: Reliability, after: Reliability, result: Result) -> TrustChanged:
    numbers = (
        f"{len(after.window)} results, {after.win_rate or 0:.0%} won, "
        f"{after.expectancy_r or 0:+.2f} R each"
    )
    if after.trigger is not None:
        why = f"quarantined for {_CAUSES[after.trigger]}"
    elif before.is_quarantined:
        why = "back on probation, its shadow trades won"
    else:
        why = f"now {after.trust.replace('_', ' ')}"
    return TrustChanged(
        session_date=result.session_date,
        template=before.template,
        before=before.trust,
        after=after.trust,
        trigger=after.trigger,
        results=len(after.window),
        win_rate=after.win_rate,
        expectancy_r=after.expectancy_r,
        text=f"{before.template}: {why} ({numbers})",
    )
