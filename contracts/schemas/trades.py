"""Table `trades`: one row per round trip, rebuilt from executions."""

from functools import cache
from typing import Final

import polars as pl

from contracts.schemas.candidates import template_ids
from contracts.schemas.columns import (
    SESSION_DATE,
    SYMBOL,
    count,
    flag,
    instant,
    number,
    phase,
    share,
    side,
    text,
    ticks,
)
from contracts.schemas.signals import REGIMES
from contracts.schemas.table import Column, Rule, Table
from engine.learning.executions import MONEY
from engine.trade import ExitKind

_UNDECIDED: Final = "nobody decided on it"
_NO_DECISION: Final = f"{_UNDECIDED}, or the decision is not in the journal"
_OF_THE_PLAN: Final = ("template", "decided_at", "stop_ticks", "target_ticks", "belief", "net_r")


def usd(name: str, meaning: str) -> Column:
    """Money (Decimal), exact."""
    return Column(name=name, dtype=MONEY, unit="USD", meaning=meaning)


TRADE_NUMBER: Final = count("trade_number", "number", "Order of closing in the session.", low=1)

DECISION_ID: Final = text("decision_id", "Decision whose entry opened it.", null=_UNDECIDED)


@cache
def trades() -> Table:
    """The table for the templates of `contracts/strategies.yaml`."""
    return Table(
        name="trades",
        meaning="What was traded, from flat to flat, rebuilt from executions alone.",
        key=("symbol", "session_date", "trade_number"),
        columns=(
            *(SYMBOL, SESSION_DATE, TRADE_NUMBER, DECISION_ID),
            text("template", "Template entered.", null=_UNDECIDED, choices=template_ids()),
            side("Side held."),
            count("quantity", "contracts", "Contracts traded each way.", low=1),
            text("regime", "Regime at the decision.", null=_UNDECIDED, choices=REGIMES),
            phase(null=_UNDECIDED),
            *_way(),
            *_money(),
            *_prices(),
            *_plan(),
            *_scores(),
            *_handling(),
        ),
        row_rules=_rules(),
    )


def _way() -> tuple[Column, ...]:
    kinds = tuple(kind.value for kind in ExitKind if kind is not ExitKind.NEVER_FILLED)
    return (
        instant("decided_at", "Close of the bar decided on.", null=_UNDECIDED),
        instant("opened_at", "First fill."),
        instant("closed_at", "Last fill."),
        count("bars_held", "bars", "From the entry's bar to the exit's bar.", low=1),
        text(
            "exit_kind",
            "What ended it.",
            null=f"{_UNDECIDED}, or an order that is not ours ended it",
            choices=kinds,
        ),
        number("entry_ticks", "ticks", "Average price of the fills that opened it."),
        number("exit_ticks", "ticks", "Average price of the fills that closed it."),
    )


def _money() -> tuple[Column, ...]:
    return (
        ticks("gross_ticks", "Result before fees, of all contracts."),
        number("net_ticks", "ticks", "Result after fees, of all contracts."),
        number(
            "net_r", "R", "Result after fees in multiples of the planned risk.", null=_UNDECIDED
        ),
        usd("gross_usd", "Result before fees."),
        usd("fees_usd", "Commissions and fees; the contract's where none is reported yet."),
        usd("net_usd", "Result after fees."),
        flag("are_fees_reported", "Every fee is the broker's own."),
        usd("signal_usd", "What the decisions would have earned at mid, at once."),
        usd("timing_usd", "What the market moved between a decision and its fill."),
        usd("slippage_usd", "What the fills gave away against the mid, or the order's own price."),
    )


def _prices() -> tuple[Column, ...]:
    worse = "per contract; positive is worse"
    return (
        ticks("decision_price_ticks", "Close of the bar decided on.", null=_UNDECIDED),
        number(
            "arrival_mid_ticks",
            "ticks",
            "Mid when the entry was sent.",
            null=f"{_UNDECIDED}, or there are no quotes",
        ),
        number(
            "entry_slippage_ticks",
            "ticks",
            f"Entry against the decision price, {worse}.",
            null=_UNDECIDED,
        ),
        number(
            "arrival_slippage_ticks",
            "ticks",
            f"Entry against the arrival mid, {worse}.",
            null="the arrival mid is",
        ),
        number(
            "exit_slippage_ticks",
            "ticks",
            f"Exit against the stop, the target, or the mid when it was asked for, {worse}.",
            null=_UNDECIDED,
        ),
        number(
            "expected_slippage_ticks",
            "ticks",
            "Expected per side at the decision.",
            null=_UNDECIDED,
            low=0,
        ),
    )


def _plan() -> tuple[Column, ...]:
    return (
        ticks("stop_price_ticks", "Stop as planned.", null=_UNDECIDED),
        ticks("target_price_ticks", "Target as planned.", null=_UNDECIDED),
        ticks("stop_ticks", "Distance of the stop as planned.", null=_UNDECIDED, low=1),
        ticks("target_ticks", "Distance of the target as planned.", null=_UNDECIDED, low=1),
        count("stop_moves", "moves", "How often the stop was moved."),
        number("mae_ticks", "ticks", "Maximum adverse excursion, a distance.", low=0),
        number("mfe_ticks", "ticks", "Maximum favourable excursion, a distance.", low=0),
    )


def _scores() -> tuple[Column, ...]:
    return (
        share("dvs", "Data validity score as the decision saw it.", null=_UNDECIDED),
        share("eqs", "Execution quality score at the decision.", null=_NO_DECISION),
        share("belief", "Effective belief at the decision.", null=_UNDECIDED),
        share("instability", "Instability of that belief.", null=_UNDECIDED),
        share("p_win", "Probability that the target is reached first.", null=_UNDECIDED),
        number("edge", "R", "Expected result before uncertainty and cost.", null=_UNDECIDED),
        number("uncertainty", "R", "What doubt took from the edge.", null=_NO_DECISION, low=0),
        number("cost", "R", "What friction took from the edge.", null=_NO_DECISION, low=0),
        number("euc", "R", "Score at the decision.", null=_UNDECIDED),
        number("theta", "R", "Score that was asked for.", null=_UNDECIDED),
    )


def _handling() -> tuple[Column, ...]:
    return (
        count("rejects", "orders", "Orders of it that were refused."),
        count("partials", "orders", "Orders of it that were filled in pieces."),
        number(
            "fill_seconds", "seconds", "From sending the entry to its first fill.", null=_UNDECIDED
        ),
        number(
            "unprotected_seconds",
            "seconds",
            "How long it was held without a stop that was alive.",
            null=_UNDECIDED,
            low=0,
        ),
        text("order_refs", "References of its orders, joined by commas."),
        text("fills_json", "Its fills, as a JSON list."),
        text("scores_json", "Scores of all candidates at entry.", null=_NO_DECISION),
        text("gates_json", "Every gate at entry as value and threshold.", null=_NO_DECISION),
    )


def _rules() -> tuple[Rule, ...]:
    decided = pl.col("decision_id").is_not_null()
    parts = pl.col("signal_usd") + pl.col("timing_usd") + pl.col("slippage_usd")
    return (
        Rule("a trade has a side", pl.col("side") != 0, ("side",)),
        Rule(
            "a trade is closed after it was opened",
            pl.col("closed_at") >= pl.col("opened_at"),
            ("opened_at", "closed_at"),
        ),
        Rule(
            "gross less fees is net",
            pl.col("gross_usd") - pl.col("fees_usd") == pl.col("net_usd"),
            ("gross_usd", "fees_usd", "net_usd"),
        ),
        Rule(
            "signal, timing, slippage and fees sum to net",
            parts - pl.col("fees_usd") == pl.col("net_usd"),
            ("signal_usd", "timing_usd", "slippage_usd", "fees_usd", "net_usd"),
        ),
        *(
            Rule(
                f"{name} is known exactly if somebody decided on it",
                decided == pl.col(name).is_not_null(),
                ("decision_id", name),
            )
            for name in _OF_THE_PLAN
        ),
    )
