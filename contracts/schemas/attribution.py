"""Table `attribution`: why each trade ended as it did."""

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
    share,
    side,
    text,
)
from contracts.schemas.signals import REGIMES
from contracts.schemas.table import Column, Rule, Table
from contracts.schemas.trades import DECISION_ID, TRADE_NUMBER
from engine.learning.attribution import Cause
from engine.learning.luck import Basis

_UNDECIDED: Final = "nobody decided on it"
_NO_PEERS: Final = f"{_UNDECIDED}, or too few outcomes to compare with"
_NEVER_CAME: Final = "price did not come there while it was looked at, or nobody decided on it"


@cache
def attribution() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="attribution",
        meaning="Why each trade ended as it did, and how much of it was luck.",
        key=("symbol", "session_date", "trade_number"),
        columns=(
            *(SYMBOL, SESSION_DATE, TRADE_NUMBER, DECISION_ID),
            text("template", "Template entered.", null=_UNDECIDED, choices=template_ids()),
            side("Side held."),
            text(
                "cause",
                "The first cause that holds, in the order of `engine.learning.attribution.Cause`.",
                choices=tuple(sorted(cause.value for cause in Cause)),
            ),
            text("cause_name", "The cause in words.", choices=tuple(c.words for c in Cause)),
            flag("is_lucky", "It made money after it had nearly been stopped."),
            number("net_r", "R", "Result after fees.", null=_UNDECIDED),
            number("edge", "R", "What was expected before uncertainty and cost.", null=_UNDECIDED),
            *_scores(),
            *_evidence(),
            text("verdict", "What happened, why, and how lucky it was, in a sentence or two."),
        ),
        row_rules=(
            Rule(
                "a trade that nobody decided on is undetermined",
                pl.col("decision_id").is_not_null() | (pl.col("cause") == Cause.UNDETERMINED.value),
                ("decision_id", "cause"),
            ),
            Rule(
                "a learning weight needs luck and execution",
                pl.col("learning_weight").is_not_null()
                == (pl.col("luck").is_not_null() & pl.col("execution").is_not_null()),
                ("learning_weight", "luck", "execution"),
            ),
        ),
    )


def _scores() -> tuple[Column, ...]:
    return (
        share("luck", "Share of comparable outcomes that did worse; 0.5 is usual.", null=_NO_PEERS),
        count("luck_peers", "outcomes", "Outcomes compared with."),
        text(
            "luck_basis",
            "What they have in common with the trade.",
            null=_NO_PEERS,
            choices=tuple(basis.value for basis in Basis),
        ),
        share("execution", "How well it was carried out.", null=_UNDECIDED),
        share(
            "learning_weight",
            "What the single case says: less with luck or bad execution. It judges nothing.",
            null=_NO_PEERS,
        ),
        number(
            "worst_slippage_ticks",
            "ticks",
            "The worse of entry and exit slippage per contract.",
            null=_UNDECIDED,
        ),
    )


def _evidence() -> tuple[Column, ...]:
    return (
        number(
            "counterfactual_ticks",
            "ticks",
            "Net result of the same decision in `outcomes`.",
            null="it could not be followed, or nobody decided on it",
        ),
        text(
            "rival_template",
            "Another template whose own stop and target won from this bar and side.",
            null="none did",
            choices=template_ids(),
        ),
        share("stored_dvs", "Data validity score of the bar as stored by now.", null=_UNDECIDED),
        count("data_events", "bars", "Bars of the trade with a data event."),
        flag("has_adverse_shock", "A shock bar of the trade went against it."),
        text(
            "regime_at_exit",
            "Regime at the last close before the exit.",
            null="no bar had closed",
            choices=REGIMES,
        ),
        share(
            "belief_least",
            "Least effective belief from the decision to the exit.",
            null="unknown on all of these bars, or nobody decided on it",
        ),
        count("bars_to_target", "bars", "From the exit until the target.", null=_NEVER_CAME, low=1),
        count(
            "bars_to_further",
            "bars",
            "From the exit until a whole stop further.",
            null=_NEVER_CAME,
            low=1,
        ),
    )
