"""Which bars the market forbids for every template: data, session and lockouts, in ladder order."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_
from typing import Final

import polars as pl

from engine.beliefs import streams
from engine.calendar import Phase
from engine.ladder import PASSED, STEP, Reason
from engine.rules import Rules
from engine.strategies.registry import vetoes

_MINUTES_PER_DAY: Final = 24 * 60
_TRADABLE_PHASES: Final = (
    Phase.OPENING,
    Phase.MID_MORNING,
    Phase.LUNCH,
    Phase.AFTERNOON,
    Phase.CLOSE,
)


def minutes_to_close() -> pl.Expr:
    """Minutes from the bar's close, the instant of the decision, to the end of the session."""
    return (pl.col("session_minutes") - pl.col("minute") - 1).cast(pl.Int32)


def decided_minute() -> pl.Expr:
    """Minutes from the open to the bar's close, the instant of the decision."""
    return pl.col("minute") + 1


def bar_step(rules: Rules) -> pl.Expr:
    """Ladder step of the first gate that refuses the whole bar, `PASSED` if none does (Int8).

    Every gate must be known to hold: one that cannot be judged refuses. Reads `minutes_to_close`
    and the columns of `lockout_memory`.
    """
    news = _is_over("minutes_since_news", rules.decision.news_lockout_minutes)
    calm_minutes = rules.decision.shock_lockout_minutes
    gates: tuple[tuple[Reason, pl.Expr], ...] = (
        (Reason.DVS_TOO_LOW, pl.col("dvs") >= rules.constitution.dvs_entry_min),
        (Reason.MISSING_REQUIRED_SIGNAL, _has_required_signals(rules)),
        (Reason.SESSION_NOT_TRADABLE, _is_session_tradable()),
        (Reason.SESSION_WINDOW_BLOCK, _is_outside_windows(rules)),
        (Reason.VOL_SHOCK_LOCKOUT, _is_over("minutes_since_volatility", calm_minutes) | ~news),
        (
            Reason.SPREAD_SLIPPAGE_LOCKOUT,
            _is_over("minutes_since_wide", rules.decision.spread_lockout_minutes),
        ),
        (Reason.NEWS_LOCKOUT, news),
    )
    return first_no(gates)


def first_no(gates: Sequence[tuple[Reason, pl.Expr]]) -> pl.Expr:
    """Ladder step of the first gate not known to hold, `PASSED` if every one does (Int8)."""
    step = pl.lit(PASSED, dtype=pl.Int8)
    for reason, holds in reversed(gates):
        step = pl.when(holds).then(step).otherwise(step_of(reason))
    return step


def step_of(reason: Reason) -> pl.Expr:
    """The ladder step of a reason (Int8)."""
    return pl.lit(STEP[reason], dtype=pl.Int8)


def lockout_starts(rules: Rules) -> tuple[pl.Expr, ...]:
    """Scratch columns of `lockout_memory`: when each lockout last started, in minutes of the frame.

    The instants of a session are a day apart from those of the next.
    """
    decision = rules.decision
    volatility = (
        pl.col("true_range_ticks") >= decision.shock_lockout_atr_multiple * pl.col("atr_30_ticks")
    ) | (pl.col("atr_14_n") >= decision.shock_lockout_atr_ratio)
    wide = (pl.col("spread_ticks") >= decision.spread_lockout_ticks) | (
        pl.col("slippage_ticks") >= decision.spread_lockout_ticks
    )
    instant = pl.col("session_key") * _MINUTES_PER_DAY + pl.col("minute")
    return (
        instant.alias("_instant"),
        *(
            pl.when(happened).then(instant).forward_fill().alias(f"_{name}_at")
            for name, happened in (
                ("volatility", volatility),
                ("wide", wide),
                ("news", pl.col("is_shock")),
            )
        ),
    )


def lockout_memory() -> tuple[pl.Expr, ...]:
    """`minutes_since_volatility`, `minutes_since_wide`, `minutes_since_news` (Int32): minutes since
    the session's last bar that started each lockout, null before the first.
    """
    return tuple(_minutes_since(name) for name in ("volatility", "wide", "news"))


def is_vetoed(rules: Rules) -> pl.Expr:
    """Does any veto forbid every entry of the bar? An unknown one does."""
    forbids = [veto.vetoes(rules).fill_null(value=True) for veto in vetoes()]
    return reduce(or_, forbids, pl.lit(value=False))


def _minutes_since(name: str) -> pl.Expr:
    """Minutes since it last happened in the session, which is no longer than the session is old."""
    elapsed = pl.col("_instant") - pl.col(f"_{name}_at")
    within = pl.when(elapsed <= pl.col("minute")).then(elapsed)
    return within.cast(pl.Int32).alias(f"minutes_since_{name}")


def _is_over(minutes_since: str, lockout_minutes: int) -> pl.Expr:
    return (pl.col(minutes_since) >= lockout_minutes).fill_null(value=True)


def _has_required_signals(rules: Rules) -> pl.Expr:
    """ATR, friction, the two beliefs every entry is asked about, and at least one constraint's."""
    strategies = rules.strategies
    always = (strategies.noise_constraint, strategies.tradability_constraint)
    asked = [f"{constraint.lower()}_likelihood" for constraint in always]
    believed = [
        f"{streams(constraint)[0][0]}_likelihood"  # Known on both sides or on neither.
        for constraint in rules.beliefs.constraints
        if constraint.id in {template.constraint for template in strategies.templates}
    ]
    needed = [pl.col(name).is_not_null() for name in ("atr_14_ticks", "friction_ticks", *asked)]
    return reduce(and_, needed) & reduce(or_, _known(believed))


def _known(names: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(name).is_not_null() for name in names]


def _is_session_tradable() -> pl.Expr:
    is_phase = pl.col("session_phase").is_in([float(phase) for phase in _TRADABLE_PHASES])
    return is_phase & (pl.col("minutes_to_close") > 0)


def _is_outside_windows(rules: Rules) -> pl.Expr:
    """Outside every no-trade window and early enough that the flatten time is still ahead."""
    session = rules.session
    late = max(session.no_entry_minutes_before_end, session.flatten_minutes_before_end)
    outside = [
        ~decided_minute().is_between(window.from_minute, window.until_minute, closed="left")
        for window in session.no_trade_windows
    ]
    return reduce(and_, outside, pl.col("minutes_to_close") > late)
