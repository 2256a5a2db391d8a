"""What a bar lacked for an entry, gate by gate, as phrases that complete "needs …".

Every gate of the bar is asked, not only the first that refused: a counterfactual that names one
change where two were needed teaches the wrong lesson. Where no template has a setup the nearest one
is asked too, and one that lacks belief alone is nearer than one that also lacks its geometry.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Final

import polars as pl

from engine.gates import decided_minute, step_of
from engine.ladder import LADDER, PASSED, Reason
from engine.measures import Passes
from engine.plans import least
from engine.rules import Rules, TemplateRules
from engine.units import Side
from engine.wording import CLOCKS, idea, side_name

_CLOCKS: Final = pl.Series(CLOCKS)
_HUNDREDTHS: Final = pl.Series([f"{number / 100:.2f}" for number in range(1_001)])
_ROUNDING: Final = 1e-9
_BEYOND_BELIEF: Final = 2.0
"""More than any belief can lack: a template that lacks something else comes behind."""

_AFTER_BELIEF: Final = {
    Reason.STOP_EXCEEDS_RISK_BUDGET: "a stop within the limit for",
    Reason.STABILITY_NOT_MET: "a steadier belief for",
    Reason.FRICTION_TOO_HIGH: "less friction for",
    Reason.EDGE_SCORE_BELOW_THETA: "a score above theta for",
}
"""The first no of a template after its belief; F6 and the noise veto have needs of their own."""


def clock_of(minute: pl.Expr) -> pl.Expr:
    """New York time, `"10:42 ET"`, so many minutes after the open; null stays null."""
    return pl.lit(_CLOCKS).gather(minute)


def two_decimals(value: pl.Expr) -> pl.Expr:
    """Text of a value in [0, 10], cut to two decimals: 0.649 of 0.65 must not read as 0.65."""
    return pl.lit(_HUNDREDTHS).gather((value * 100 + _ROUNDING).floor().cast(pl.UInt32))


def _missing(rules: Rules) -> pl.Expr:
    """Which signals that every entry requires are unknown: `"ATR, F5"`; else it is the beliefs."""
    constraints = (rules.strategies.noise_constraint, rules.strategies.tradability_constraint)
    required = {
        "ATR": "atr_14_ticks",
        "friction": "friction_ticks",
        **{constraint: f"{constraint.lower()}_likelihood" for constraint in constraints},
    }
    bits = reduce(
        add,
        (
            pl.col(column).is_null().cast(pl.UInt8) * (1 << place)
            for place, column in enumerate(required.values())
        ),
    )
    texts = [
        ", ".join(name for place, name in enumerate(required) if number >> place & 1)
        for number in range(1 << len(required))
    ]
    return pl.lit(pl.Series([text or "every belief" for text in texts])).gather(bits)


def need_passes(rules: Rules) -> Passes:
    """Scratch columns of the text: `_until`, `_missing`, `_dvs`, `_best_text` and `_needs`.

    `_until` is the minute at which the lockout or window that refused the bar ends; `_needs` is
    empty where nothing lacks.
    """
    blocks = rules.strategies.templates
    sides = _sides(rules)
    shorts = [f"_{block.id}_{side_name(side)}_short" for block, side in sides]
    misses = [f"_{block.id}_miss" for block in blocks]
    return (
        (
            *_ends(rules),
            *(
                (block.belief_min - _effective(block, side)).alias(name)
                for (block, side), name in zip(sides, shorts, strict=True)
            ),
            *(_miss(block).alias(name) for block, name in zip(blocks, misses, strict=True)),
        ),
        (
            _until().alias("_until"),
            least(*map(pl.col, shorts)).alias("_least_short"),
            least(*map(pl.col, misses)).alias("_least_miss"),
        ),
        (
            _index_of(shorts, "_least_short").alias("_best"),
            _index_of(misses, "_least_miss").alias("_nearest"),
        ),
        (
            _best_text(rules).alias("_best_text"),
            _missing(rules).alias("_missing"),
            two_decimals(pl.col("dvs")).alias("_dvs"),
            *_nearest_columns(blocks),
        ),
        (
            pl.concat_str(
                [*_bar_needs(rules), *_template_needs(rules)], separator="; ", ignore_nulls=True
            ).alias("_needs"),
        ),
    )


def _sides(rules: Rules) -> list[tuple[TemplateRules, Side]]:
    return [(block, side) for block in rules.strategies.templates for side in Side]


def _effective(block: TemplateRules, side: Side) -> pl.Expr:
    return pl.col(f"{block.constraint.lower()}_{side_name(side)}_effective")


def _ends(rules: Rules) -> list[pl.Expr]:
    """Minute at which the no-trade window and each lockout of the bar end; null without one."""
    minute = decided_minute()
    window = pl.lit(None, dtype=pl.Int32)
    for law in rules.session.no_trade_windows:
        is_inside = minute.is_between(law.from_minute, law.until_minute, closed="left")
        window = pl.when(is_inside).then(pl.lit(law.until_minute, dtype=pl.Int32)).otherwise(window)
    lockouts = [
        pl.when(pl.col(since) < lasts).then(minute + lasts - pl.col(since)).alias(f"_{reason}_ends")
        for reason, since, lasts, _ in _lockouts(rules)
    ]
    return [window.alias(f"_{Reason.SESSION_WINDOW_BLOCK}_ends"), *lockouts]


def _lockouts(rules: Rules) -> tuple[tuple[Reason, str, int, str], ...]:
    """Reason, column of its age, minutes it lasts, and its word."""
    law = rules.decision
    spread = (Reason.SPREAD_SLIPPAGE_LOCKOUT, "minutes_since_wide", law.spread_lockout_minutes)
    return (
        (
            Reason.VOL_SHOCK_LOCKOUT,
            "minutes_since_volatility",
            law.shock_lockout_minutes,
            "volatility",
        ),
        (*spread, "spread"),
        (Reason.NEWS_LOCKOUT, "minutes_since_news", law.news_lockout_minutes, "news"),
    )


_ENDING: Final = (
    Reason.SESSION_WINDOW_BLOCK,
    Reason.VOL_SHOCK_LOCKOUT,
    Reason.SPREAD_SLIPPAGE_LOCKOUT,
    Reason.NEWS_LOCKOUT,
)


def _until() -> pl.Expr:
    until = pl.lit(None, dtype=pl.Int32)
    for reason in _ENDING:
        is_reason = pl.col("market_step") == step_of(reason)
        until = pl.when(is_reason).then(pl.col(f"_{reason}_ends")).otherwise(until)
    return until


def _miss(block: TemplateRules) -> pl.Expr:
    """What the template's belief lacks, if that is all; else more than any belief can lack."""
    name = block.id.lower()
    short = (block.belief_min - pl.col(f"{name}_belief")).clip(lower_bound=0.0)
    is_all = pl.col(f"{name}_step_if_believed") == PASSED
    return pl.when(is_all).then(short).otherwise(short + _BEYOND_BELIEF)


def _index_of(names: Sequence[str], least: str) -> pl.Expr:
    """Index of the first column that equals the least of them; null where that is unknown."""
    index = pl.lit(None, dtype=pl.Int32)
    for number, name in reversed(list(enumerate(names))):
        here = pl.lit(number, dtype=pl.Int32)
        index = pl.when(pl.col(name) == pl.col(least)).then(here).otherwise(index)
    return index


def _pick(index: str, values: Sequence[pl.Expr]) -> pl.Expr:
    """The value at a column's index; null where the index is."""
    picked: pl.Expr = pl.lit(None)
    for number, value in enumerate(values):
        picked = pl.when(pl.col(index) == number).then(value).otherwise(picked)
    return picked


def _label(index: str, labels: Sequence[str | None]) -> pl.Expr:
    return pl.lit(pl.Series(labels, dtype=pl.String)).gather(pl.col(index))


def _best_text(rules: Rules) -> pl.Expr:
    """The most believed question: `"F1 (VWAP reversion, long) at 0.61 of 0.65"`."""
    names = {constraint.id: idea(constraint.name) for constraint in rules.beliefs.constraints}
    sides = _sides(rules)
    return pl.format(
        "{} at {} of {}",
        _label(
            "_best", [f"{b.constraint} ({names[b.constraint]}, {side_name(s)})" for b, s in sides]
        ),
        two_decimals(_pick("_best", [_effective(block, side) for block, side in sides])),
        _label("_best", [f"{block.belief_min:.2f}" for block, _ in sides]),
    )


def _nearest_columns(blocks: Sequence[TemplateRules]) -> list[pl.Expr]:
    """Belief, minimum, next step and label of the nearest template; the label counts its side."""
    names = [block.id.lower() for block in blocks]
    is_short = [pl.col(f"{b.id.lower()}_belief") != _effective(b, Side.LONG) for b in blocks]
    sides = [2 * number + short.cast(pl.Int32) for number, short in enumerate(is_short)]
    least = pl.lit(pl.Series([block.belief_min for block in blocks]))
    return [
        _pick("_nearest", [pl.col(f"{name}_belief") for name in names]).alias("_nearest_belief"),
        _pick("_nearest", [pl.col(f"{name}_step_if_believed") for name in names]).alias("_next"),
        _pick("_nearest", sides).alias("_nearest_side"),
        least.gather(pl.col("_nearest")).alias("_nearest_min"),
    ]


def _bar_needs(rules: Rules) -> list[pl.Expr]:
    """Each gate of the bar that did not hold; null where it did."""
    step, dvs_min = pl.col("market_step"), rules.constitution.dvs_entry_min
    late = max(rules.session.no_entry_minutes_before_end, rules.session.flatten_minutes_before_end)
    dvs = pl.format(f"DVS {dvs_min:.2f}, was {{}}", pl.col("_dvs"))
    is_late = pl.col("minutes_to_close") <= late
    plain = (
        (~is_late & (step == step_of(Reason.SESSION_NOT_TRADABLE)), "a tradable session"),
        (is_late, f"more than {late} minutes to the close"),
    )
    ending = {
        Reason.SESSION_WINDOW_BLOCK: "the no-trade window",
        **{reason: f"the {word} lockout" for reason, _, _, word in _lockouts(rules)},
    }
    return [
        pl.when(pl.col("dvs") < dvs_min).then(dvs),
        pl.when(step == step_of(Reason.MISSING_REQUIRED_SIGNAL)).then(
            pl.format("{} to be known", pl.col("_missing"))
        ),
        *(pl.when(fails).then(pl.lit(text)) for fails, text in plain),
        *(
            pl.format(f"{what} to end at {{}}", clock_of(pl.col(f"_{reason}_ends")))
            for reason, what in ending.items()
        ),
    ]


def _template_needs(rules: Rules) -> list[pl.Expr]:
    """What the nearest template lacks on a bar without a setup; null where a setup exists."""
    strategies, sides = rules.strategies, _sides(rules)
    least = [f"{b.constraint} {side_name(side)} {b.belief_min:.2f}" for b, side in sides]
    labels = [f"{block.id} {side_name(side)}" for block, side in sides]
    belief = pl.col("_nearest_belief")
    needs = [
        pl.when(pl.col("_nearest").is_null()).then(pl.lit("a known belief")),
        pl.when(belief < pl.col("_nearest_min")).then(
            pl.format("{}, was {}", _label("_nearest_side", least), two_decimals(belief))
        ),
        pl.when(pl.col("_next") == step_of(Reason.NO_CANDIDATE)).then(
            pl.format("a {} setup", _label("_nearest_side", labels))
        ),
        _gate_need(
            strategies.tradability_constraint, strategies.tradability_belief_min, is_least=True
        ),
        _gate_need(strategies.noise_constraint, strategies.noise_veto_belief, is_least=False),
        pl.format(
            "{} {}",
            _label("_next", [*(_AFTER_BELIEF.get(reason) for reason in LADDER), None]),
            _label("_nearest_side", labels),
        ),
    ]
    return [pl.when(~pl.col("has_setup")).then(need) for need in needs]


def _gate_need(constraint: str, threshold: float, *, is_least: bool) -> pl.Expr:
    """Need of a gate on F5 or F6; an unknown one is already among the missing signals."""
    value = pl.col(f"{constraint.lower()}_effective")
    fails = value < threshold if is_least else value >= threshold
    asked = f"{constraint} {threshold:.2f}" if is_least else f"{constraint} below {threshold:.2f}"
    return pl.when(fails).then(pl.format(f"{asked}, was {{}}", two_decimals(value)))
