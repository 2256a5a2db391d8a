"""The journal's text of a bar: what was seen, what it was held against, and why not, in English.

Polars expressions over a `market_frame`, elementwise: the text of a live bar is the same bytes as
that of the same bar among ten years of them. `decision` adds what depends on us, and writes the
text of bars on which a template has a setup.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final

import polars as pl

from engine.gates import decided_minute, step_of
from engine.ladder import LADDER, PASSED, Reason
from engine.measures import Passes, add_passes, per_rules
from engine.needs import clock_of, need_passes, two_decimals
from engine.plans import in_turn
from engine.rules import Rules
from engine.units import Side
from engine.wording import ALL_OF, AND, PHRASES, side_name

TEXT_COLUMNS: Final = ("bar_json", "evidence_json", "sentence", "counterfactual")

_BAR_FIELDS: Final = ("open", "high", "low", "close", "bid", "ask")
_SHARES: Final = pl.Series([f"{number / 10_000:.4f}" for number in range(10_001)])
_MINUTES: Final = pl.Series([str(minute) for minute in range(24 * 60)])
_PHRASES: Final = pl.Series([*(PHRASES[reason] for reason in LADDER), ""])


def journal_text(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """A `market_frame` with the columns of `TEXT_COLUMNS`, all plain ASCII, none null.

    `evidence_json` gives every gate as `[value, threshold]`, floats to four decimals; the scores of
    setups are the decision's to tell. `counterfactual` is empty where the market would have allowed
    an entry; on a bar with a setup it holds the needs of the bar alone, for `decision` to complete.
    """
    passes, texts, columns = _stages(rules)
    read = frame[columns].hstack(_share_texts(frame, _shares(rules)))
    return frame.hstack(add_passes(read, passes).select(texts))


def text_steps(market: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """The steps of `journal_text` for a plan over few rows of a market frame."""
    passes, texts, _ = _stages(rules)
    shares = [_share_text(pl.col(name)).alias(f"_{name}_text") for name in _shares(rules)]
    return in_turn(market, (shares,), passes, (texts,))


@per_rules
def _stages(rules: Rules) -> tuple[Passes, list[pl.Expr], list[str]]:
    """Passes, the texts made of them, and the columns of the frame that they read."""
    passes = (*need_passes(rules), (_place().alias("_place"),))
    texts = [
        _bar_json().alias("bar_json"),
        _evidence_json(rules).alias("evidence_json"),
        _sentence(rules).alias("sentence"),
        _counterfactual().alias("counterfactual"),
    ]
    read = {
        name
        for expression in (*chain.from_iterable(passes), *texts)
        for name in expression.meta.root_names()
    }
    return passes, texts, sorted(name for name in read if not name.startswith("_"))


def _shares(rules: Rules) -> list[str]:
    """Columns in [0, 1] that the text gives to four decimals."""
    return ["dvs", *(f"{name}_effective" for name, _ in _beliefs(rules))]


def _share_texts(frame: pl.DataFrame, names: list[str]) -> list[pl.Series]:
    """`_dvs_text`, …: four decimals or `null`, from a table, of all these columns in one go."""
    shares = pl.concat([frame[name] for name in names]).to_frame("share")
    texts = shares.select(_share_text(pl.col("share"))).to_series()
    return [
        texts.slice(number * frame.height, frame.height).alias(f"_{name}_text")
        for number, name in enumerate(names)
    ]


def _share_text(share: pl.Expr) -> pl.Expr:
    place = (share * 10_000).round().cast(pl.UInt32)
    return pl.lit(_SHARES).gather(place).fill_null("null")


def _object(fields: Sequence[tuple[str, str, pl.Expr]]) -> pl.Expr:
    """JSON text of an object: per field its name, how its text is set (`{}`), and the text."""
    inside = ",".join(f'"{name}":{setting}' for name, setting, _ in fields)
    return pl.format("{{" + inside + "}}", *(text for _, _, text in fields))


def _whole(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("null")


def _minutes(name: str) -> pl.Expr:
    """Minutes of a day from a table: a lookup costs a fifth of writing the number."""
    return pl.lit(_MINUTES).gather(pl.col(name)).fill_null("null")


def _decimal(name: str) -> pl.Expr:
    """JSON number with four decimals."""
    return pl.col(name).cast(pl.Decimal(18, 4)).cast(pl.String).fill_null("null")


def _bar_json() -> pl.Expr:
    return _object(
        [
            *((f"{name}_ticks", "{}", _whole(f"{name}_ticks")) for name in _BAR_FIELDS),
            ("volume", "{}", _whole("volume")),
            ("dvs", "{}", pl.col("_dvs_text")),
            ("quality_events", '"{}"', pl.col("quality_events")),
        ]
    )


def _evidence_json(rules: Rules) -> pl.Expr:
    law, decision = rules.constitution, rules.decision
    late = max(rules.session.no_entry_minutes_before_end, rules.session.flatten_minutes_before_end)
    whole = [
        ("minutes_to_close", late),
        ("minutes_since_volatility", decision.shock_lockout_minutes),
        ("minutes_since_wide", decision.spread_lockout_minutes),
        ("minutes_since_news", decision.news_lockout_minutes),
    ]
    wide = ("slippage_ticks", f"[{{}},{decision.spread_lockout_ticks}]", _decimal("slippage_ticks"))
    return _object(
        [
            ("dvs", f"[{{}},{law.dvs_entry_min}]", pl.col("_dvs_text")),
            *((name, f"[{{}},{limit}]", _minutes(name)) for name, limit in whole),
            wide,
            *(
                (name, "{}", _decimal(name))
                for name in ("friction_ticks", "atr_14_ticks", "vwap_z")
            ),
            ("regime", '"{}"', pl.col("regime")),
            *(
                (name, f"[{{}},{limit}]", pl.col(f"_{name}_effective_text"))
                for name, limit in _beliefs(rules)
            ),
        ]
    )


def _beliefs(rules: Rules) -> list[tuple[str, float]]:
    """Every belief that a gate asks for, with the gate's threshold."""
    strategies = rules.strategies
    return [
        *(
            (f"{block.constraint.lower()}_{side_name(side)}", block.belief_min)
            for block in strategies.templates
            for side in Side
        ),
        (strategies.noise_constraint.lower(), strategies.noise_veto_belief),
        (strategies.tradability_constraint.lower(), strategies.tradability_belief_min),
    ]


def _sentence(rules: Rules) -> pl.Expr:
    """`"10:42 ET skip: belief too low. …"`; where the market allows an entry it says so."""
    step = pl.col("market_step")
    place, data = pl.col("_place"), pl.col("_dvs")
    best = pl.col("_best_text").fill_null("no belief is known")
    events = (
        pl.when(pl.col("quality_events") == "")
        .then(pl.lit("this bar is clean, one shortly before was not"))
        .otherwise(pl.col("quality_events"))
    )
    detail = (
        pl.when(step == step_of(Reason.BELIEF_TOO_LOW))
        .then(pl.format(". Best was {}; {}; data {}.", best, place, data))
        .when(step == step_of(Reason.NO_CANDIDATE))
        .then(pl.format(". Believed: {}, but the bar shows no such setup; {}.", best, place))
        .when(step == step_of(Reason.DVS_TOO_LOW))
        .then(
            pl.format(f". DVS {{}} of {rules.constitution.dvs_entry_min:.2f}: {{}}.", data, events)
        )
        .when(step == step_of(Reason.MISSING_REQUIRED_SIGNAL))
        .then(pl.format(". Not known yet: {}.", pl.col("_missing")))
        .when(pl.col("_until").is_not_null())
        .then(pl.format(". Until {}.", clock_of(pl.col("_until"))))
        .otherwise(pl.lit("."))
    )
    clock = clock_of(decided_minute())
    return (
        pl.when(step == PASSED)
        .then(pl.format("{} the market allows an entry.", clock))
        .otherwise(pl.concat_str(clock, pl.lit(" skip: "), pl.lit(_PHRASES).gather(step), detail))
    )


def _place() -> pl.Expr:
    """`"price 1.20 deviations below VWAP"`."""
    vwap_z = pl.col("vwap_z")
    where = pl.when(vwap_z < 0).then(pl.lit("below")).otherwise(pl.lit("above"))
    place = pl.format("price {} deviations {} VWAP", two_decimals(vwap_z.abs()), where)
    return place.fill_null("VWAP unknown")


def _counterfactual() -> pl.Expr:
    needs = pl.col("_needs")
    prefix = (
        pl.when(needs.str.contains(AND, literal=True))
        .then(pl.lit(ALL_OF))
        .otherwise(pl.lit("needs "))
    )
    return pl.when(needs == "").then(pl.lit("")).otherwise(pl.concat_str(prefix, needs))
