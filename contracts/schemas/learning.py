"""Tables `learning_state` and `calibration`: what each night leaves for the next session."""

from functools import cache
from typing import Final

import polars as pl

from contracts.schemas.candidates import template_ids
from contracts.schemas.columns import (
    SESSION_DATE,
    SYMBOL,
    count,
    flag,
    number,
    phase,
    share,
    side,
    text,
)
from contracts.schemas.signals import REGIMES
from contracts.schemas.table import Column, Rule, Table
from engine.learning.reliability import Trigger, Trust

_CELL: Final = "the row is of one regime and phase, which has no trust of its own"
_WHOLE: Final = "the row is the template as a whole"
_EMPTY: Final = "there is no result"
_BIN: Final = "the row is one bin of the belief"
_SUMMARY: Final = "the row is the side as a whole"
_ROUNDING: Final = 1e-9


@cache
def learning_state() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="learning_state",
        meaning="How far each template is trusted after the session, and where it earned.",
        key=("symbol", "session_date", "template", "regime", "phase"),
        columns=(
            *(SYMBOL, SESSION_DATE),
            text("template", "Template the results are of.", choices=template_ids()),
            text("regime", "Regime at the decision.", null=_WHOLE, choices=REGIMES),
            phase(null=_WHOLE),
            *_trust(),
            *_results(),
            text("change", "Every change of trust this night, in words; empty if none."),
            text("results_json", "The results looked at, oldest first, as a JSON list."),
        ),
        row_rules=(
            Rule(
                "a template that is not trusted says why",
                (pl.col("trust") == Trust.QUARANTINED.value) == pl.col("trigger").is_not_null(),
                ("trust", "trigger"),
            ),
            Rule("wins are results", pl.col("wins") <= pl.col("results"), ("wins", "results")),
            Rule(
                "the win rate is the plain share of wins",
                (
                    (pl.col("win_rate") * pl.col("results") - pl.col("wins")).abs() < _ROUNDING
                ).fill_null(pl.col("results") == 0),
                ("win_rate", "wins", "results"),
            ),
        ),
    )


def _trust() -> tuple[Column, ...]:
    return (
        text("trust", "How far it is trusted.", null=_CELL, choices=tuple(t.value for t in Trust)),
        text(
            "trigger",
            "What put it into quarantine.",
            null=f"it is not in quarantine, or {_CELL}",
            choices=tuple(trigger.value for trigger in Trigger),
        ),
        number("modifier", "factor", "Factor on the cost of its scores.", null=_CELL, low=1),
        flag("is_quarantined", "It may not enter.", null=_CELL),
        count("wins_since", "wins", "Real wins since it came back.", null=_CELL),
        count("shadow_wins", "wins", "Shadow wins in a row while in quarantine.", null=_CELL),
    )


def _results() -> tuple[Column, ...]:
    return (
        count("results", "results", "Newest results looked at, real and shadow."),
        count("shadow_results", "results", "Those of them that were followed and not traded."),
        count("wins", "results", "Those that made money after costs."),
        share("win_rate", "Share of wins; every result counts in full.", null=_EMPTY),
        share("win_rate_low", "Lower end of the Wilson interval, 95 %.", null=_EMPTY),
        share("win_rate_high", "Upper end of the Wilson interval, 95 %.", null=_EMPTY),
        number("expectancy_r", "R", "Mean result; every one counts in full.", null=_EMPTY),
        number("profit_factor", "factor", "Won over lost.", null="nothing was lost", low=0),
        Column(
            name="streak",
            dtype=pl.Int32(),
            unit="results",
            meaning="Wins in a row at the end; losses in a row are negative.",
        ),
        number("drawdown_r", "R", "Deepest fall below an earlier height.", low=0),
        number(
            "slippage_ticks_mean",
            "ticks",
            "Mean entry slippage per contract.",
            null="no result was traded",
        ),
    )


@cache
def calibration() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="calibration",
        meaning="Whether beliefs came true as often as they said, through the session.",
        key=("symbol", "session_date", "template", "side", "bin"),
        columns=(
            *(SYMBOL, SESSION_DATE),
            text("template", "Template whose belief it is.", choices=template_ids()),
            side("Side believed in."),
            count("bin", "number", "Group of belief; 0 is the side as a whole."),
            share("belief_from", "Least belief of the group."),
            share("belief_until", "Belief below which the group ends."),
            Column(
                name="outcomes",
                dtype=pl.Int64(),
                unit="outcomes",
                meaning="Bars compared.",
                low=1,
            ),
            count("sessions", "sessions", "Sessions they are of.", null=_BIN, low=1),
            share("p_win_mean", "Mean probability that the prior gave."),
            share("win_rate", "Share that reached the target first."),
            share("win_rate_low", "Lower end of its bootstrap interval.", null=_SUMMARY),
            share("win_rate_high", "Upper end of its bootstrap interval.", null=_SUMMARY),
            *_scores(),
        ),
        row_rules=(
            Rule(
                "an earned map is there",
                ~pl.col("is_map_earned") | pl.col("map_json").is_not_null(),
                ("is_map_earned", "map_json"),
            ),
            Rule("a belief has a side", pl.col("side") != 0, ("side",)),
        ),
    )


def _scores() -> tuple[Column, ...]:
    early = f"{_BIN}, or there are too few sessions to look ahead"
    return (
        share("brier", "Brier score of the prior; less is better.", null=_BIN),
        share("brier_low", "Lower end of its bootstrap interval.", null=_BIN),
        share("brier_high", "Upper end of its bootstrap interval.", null=_BIN),
        share("brier_base", "Brier score of always saying the share of wins.", null=_BIN),
        share("calibration_error", "Mean distance of what was said from what came.", null=_BIN),
        share("calibration_error_low", "Lower end of its bootstrap interval.", null=_BIN),
        share("calibration_error_high", "Upper end of its bootstrap interval.", null=_BIN),
        share("brier_map_ahead", "Brier score of the map on later sessions.", null=early),
        share("brier_base_ahead", "Brier score of the share of wins on them.", null=early),
        flag("is_map_earned", "The map beat the share of wins on later sessions.", null=_BIN),
        text("map_json", "Knots of the map.", null=f"{_BIN}, or there are too few outcomes"),
    )
