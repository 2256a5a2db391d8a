"""Table `candidates`: one row per bar and template."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import polars as pl

from contracts.loader import load_rules
from contracts.schemas.columns import BAR_KEY, count, flag, number, share, side, text, ticks
from contracts.schemas.table import Column, Rule, Table
from engine.ladder import LADDER, PASSED

_NO_SETUP: Final = "no setup"
_OF_A_SETUP: Final = ("stop_ticks", "target_ticks", "instability", "p_win", "edge", "theta")


@cache
def candidates() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="candidates",
        meaning="What the market alone would allow, per template, and the first gate that refuses.",
        key=("symbol", "closes_at", "template"),
        columns=(*BAR_KEY, *_columns(template_ids())),
        row_rules=(
            *(
                Rule(
                    f"{name} is known exactly where there is a setup",
                    (pl.col("side") != 0) == pl.col(name).is_not_null(),
                    ("side", name),
                )
                for name in _OF_A_SETUP
            ),
            Rule(
                "may_enter exactly if no step of the ladder refuses",
                pl.col("may_enter") == (pl.col("market_step") == PASSED),
                ("may_enter", "market_step"),
            ),
            Rule(
                "a setup is one of the bar",
                (pl.col("side") == 0) | pl.col("has_setup"),
                ("side", "has_setup"),
            ),
        ),
    )


@cache
def template_ids() -> tuple[str, ...]:
    """Ids of the entering templates, in the order of the contract."""
    return tuple(template.id for template in load_rules().strategies.templates)


def _columns(templates: Sequence[str]) -> list[Column]:
    return [
        text("template", "Template asked.", choices=tuple(templates)),
        side("Side of the setup; 0 without one."),
        ticks("stop_ticks", "Distance of the stop.", null=_NO_SETUP, low=1),
        ticks("target_ticks", "Distance of the target.", null=_NO_SETUP, low=1),
        number(
            "friction_ticks",
            "ticks per round trip",
            "Expected fees and slippage of both sides.",
            low=0,
        ),
        share(
            "belief",
            "Effective belief of the setup's side; without one, of the more believed side.",
            null="the belief is unknown",
        ),
        share("instability", "Instability of that belief.", null=_NO_SETUP),
        share("p_win", "Probability that the target is reached first.", null=_NO_SETUP),
        number("edge", "R", "Expected result before uncertainty and cost.", null=_NO_SETUP),
        number("theta", "R", "Score that the bar asks for.", null=_NO_SETUP),
        number(
            "euc",
            "R",
            "Edge less uncertainty less cost, with EQS 1 and learning modifier 1.",
            null=f"{_NO_SETUP}, or friction unknown",
        ),
        text(
            "reason",
            "First market-only gate that refuses the template.",
            null="none refuses",
            choices=tuple(reason.value for reason in LADDER),
        ),
        _step(
            "step_if_believed",
            f"First market-only gate that would refuse a believed template; {PASSED} if none.",
        ),
        _step("market_step", f"First market-only gate that refuses the bar; {PASSED} if none."),
        flag("has_setup", "Some template has a setup on this bar."),
        flag("may_enter", "Some template passes every market-only gate on this bar."),
        count("minutes_to_close", "minutes", "From the bar's close to the end of the session."),
        _since("minutes_since_volatility", "the last bar that was too volatile to trade after"),
        _since("minutes_since_wide", "the last bar with a spread or slippage too wide to trade"),
        _since("minutes_since_news", "the last shock"),
    ]


def _step(name: str, meaning: str) -> Column:
    unit = "index into `engine.ladder.LADDER`"
    return Column(name=name, dtype=pl.Int8(), unit=unit, meaning=meaning, low=0, high=PASSED)


def _since(name: str, what: str) -> Column:
    return count(name, "minutes", f"Since {what}.", null="none yet in this session")
