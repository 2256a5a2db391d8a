"""Why each trade ended as it did: one cause of ten, what luck and execution had to do with it.

The causes are asked in a fixed order and the first that holds is the answer: what was wrong with
our execution, the data or the day comes before any lesson about the model, so that the model is
never blamed for a broken feed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import polars as pl

from engine.learning.evidence import EVIDENCE_COLUMNS, TRADE_KEY, evidence
from engine.learning.luck import LUCK_COLUMNS, is_near_stop_win, luck
from engine.learning.verdict import verdict
from engine.rules import Rules
from engine.trade import ExitKind


class Cause(StrEnum):
    """Why a trade ended as it did; members in the order in which they are asked."""

    EXECUTION_FAILURE = "A8"
    DATA_QUALITY = "A7"
    EVENT_SHOCK = "A6"
    EARNED_WIN = "A0"
    REGIME_SHIFT = "A5"
    NOISE_STOP = "A3"
    WRONG_TIMING = "A2"
    WRONG_EXPRESSION = "A4"
    WRONG_MODEL = "A1"
    UNDETERMINED = "A9"

    @property
    def words(self) -> str:
        """`"noise stop"`."""
        return self.name.lower().replace("_", " ")


ATTRIBUTION_COLUMNS: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "session_date": pl.Date(),
    "trade_number": pl.Int32(),
    "decision_id": pl.String(),
    "template": pl.String(),
    "side": pl.Int8(),
    "cause": pl.String(),
    "cause_name": pl.String(),
    "is_lucky": pl.Boolean(),
    "net_r": pl.Float64(),
    "edge": pl.Float64(),
    **LUCK_COLUMNS,
    "execution": pl.Float64(),
    "learning_weight": pl.Float64(),
    "worst_slippage_ticks": pl.Float64(),
    **{name: kind for name, kind in EVIDENCE_COLUMNS.items() if name not in TRADE_KEY},
    "verdict": pl.String(),
}
"""Columns of `attribution`: cause, scores, the evidence they rest on, and a sentence."""

_STOPPED: Final = (ExitKind.STOP.value, ExitKind.PROTECTED_STOP.value)


def attribution(
    trades: pl.DataFrame,
    market: pl.DataFrame,
    outcomes: pl.DataFrame,
    compared: pl.DataFrame,
    rules: Rules,
) -> pl.DataFrame:
    """`ATTRIBUTION_COLUMNS` of these trades, in their order.

    `market` and `outcomes` are the stored rows of the trades' sessions; `compared` are the `peers`
    of sessions that are over, these included.
    """
    seen = evidence(trades, market, outcomes, rules)
    known = pl.concat(
        [trades, seen.drop(TRADE_KEY), luck(trades, compared, rules)], how="horizontal"
    )
    scored = known.with_columns(worst_slippage_ticks=_WORST_SLIPPAGE).with_columns(
        cause=cause(rules),
        is_lucky=is_near_stop_win(rules.learning.attribution.lucky_adverse_stops),
        execution=execution_score(rules),
    )
    names = {each.value: each.words for each in Cause}
    finished = scored.with_columns(
        cause_name=pl.col("cause").replace_strict(names),
        learning_weight=(1.0 - 2.0 * (pl.col("luck") - 0.5).abs()) * pl.col("execution"),
    )
    told = pl.Series("verdict", [verdict(row) for row in finished.iter_rows(named=True)], pl.String)
    return finished.with_columns(told).select(
        pl.col(name).cast(kind) for name, kind in ATTRIBUTION_COLUMNS.items()
    )


_WORST_SLIPPAGE: Final = pl.max_horizontal("entry_slippage_ticks", "exit_slippage_ticks")


def cause(rules: Rules) -> pl.Expr:
    """The first cause that holds, in the order of `Cause`; what is unknown does not hold."""
    is_decided = pl.col("decision_id").is_not_null()
    return pl.coalesce(
        *(
            pl.when(is_decided & holds).then(pl.lit(each.value))
            for each, holds in causes(rules).items()
        ),
        pl.lit(Cause.UNDETERMINED.value),
    )


def causes(rules: Rules) -> Mapping[Cause, pl.Expr]:
    """What must hold for each cause, A9 aside. Reads `trades`, the evidence and slippage."""
    law = rules.learning.attribution
    is_win = pl.col("net_usd") > 0
    is_loss = pl.col("net_usd") < 0
    is_stopped = pl.col("exit_kind").is_in(_STOPPED)
    exit_belief = rules.strategies.thesis_belief_min
    to_target, to_further = pl.col("bars_to_target"), pl.col("bars_to_further")
    holds = {
        Cause.EXECUTION_FAILURE: _is_execution_failure(rules),
        Cause.DATA_QUALITY: (pl.col("stored_dvs") < rules.constitution.dvs_entry_min)
        | (pl.col("data_events") > 0),
        Cause.EVENT_SHOCK: pl.col("has_adverse_shock"),
        Cause.EARNED_WIN: is_win,
        Cause.REGIME_SHIFT: (pl.col("regime_at_exit") != pl.col("regime"))
        & (pl.col("belief_least") < exit_belief),
        Cause.NOISE_STOP: is_stopped
        & (to_target <= law.noise_bars)
        & (to_further.is_null() | (to_further > to_target)),
        Cause.WRONG_TIMING: is_stopped & (to_target <= law.timing_bars),
        Cause.WRONG_EXPRESSION: is_loss
        & (
            (pl.col("mfe_ticks") >= law.expression_gain_stops * pl.col("stop_ticks"))
            | pl.col("rival_template").is_not_null()
        ),
        Cause.WRONG_MODEL: is_loss
        & (pl.col("mfe_ticks") < law.wrong_gain_stops_below * pl.col("stop_ticks"))
        & (pl.col("belief_least") >= exit_belief),
    }
    return {each: holds[each] for each in Cause if each is not Cause.UNDETERMINED}


def _is_execution_failure(rules: Rules) -> pl.Expr:
    """Whether it was carried out so badly that it ended with the other sign.

    Slippage is to blame if the same trade at mid would have done so; a refused order or a missing
    stop changes the way of a trade, so those are held against the same decision in `outcomes`.
    """
    law = rules.execution
    is_win = pl.col("net_usd") > 0
    bound = law.slippage_surprise_multiple * pl.col("expected_slippage_ticks")
    is_slipped = pl.col("worst_slippage_ticks") > bound
    is_bare = pl.col("unprotected_seconds") > law.protect_within_seconds
    is_hindered = (pl.col("rejects") > 0) | is_bare
    at_mid_usd = pl.col("signal_usd") - pl.col("fees_usd")
    return (is_slipped & (is_win != (at_mid_usd > 0))) | (
        is_hindered & (is_win != (pl.col("counterfactual_ticks") > 0))
    )


def execution_score(rules: Rules) -> pl.Expr:
    """How well a trade was carried out, from 1 down to 0; null for one that nobody decided on."""
    law = rules.learning.scores
    surprise = (pl.col("worst_slippage_ticks") - pl.col("expected_slippage_ticks")).clip(0)
    naked = (pl.col("unprotected_seconds") - law.unprotected_free_seconds).clip(0)
    lost = (
        law.slippage_loss_per_tick * surprise
        + law.reject_loss * pl.col("rejects")
        + law.partial_loss * pl.col("partials")
        + law.unprotected_loss_per_second * naked
    )
    return (1.0 - lost).clip(0.0, 1.0)
