"""Table `session_report`: a session in one row, and the page that tells the rest."""

from functools import cache
from typing import Final

import polars as pl

from contracts.schemas.columns import SESSION_DATE, SYMBOL, count, flag, number, share, text
from contracts.schemas.decisions import REASONS
from contracts.schemas.table import Column, Rule, Table
from contracts.schemas.trades import usd
from engine.kill import KillState

_NO_TRADE: Final = "no trade that was decided on"
_NO_BAR: Final = "no bar is stored"
_NO_MATURE: Final = "no belief can be compared yet"


@cache
def session_report() -> Table:
    """The table; its reasons are those of the ladder."""
    return Table(
        name="session_report",
        meaning="What a session came to, in one row, and where its page is.",
        key=("symbol", "session_date"),
        columns=(
            *(SYMBOL, SESSION_DATE),
            text("headline", "The session in a sentence: why it traded, or why not."),
            *_money(),
            *_decided(),
            *_data(),
            *_learned(),
            *_kept(),
            text("page", "Path of the page under the folder `reports` of the data home."),
            text("page_sha256", "SHA-256 of the page's bytes.", pattern=r"^[0-9a-f]{64}$"),
        ),
        row_rules=(
            Rule("wins are trades", pl.col("wins") <= pl.col("trades"), ("wins", "trades")),
            Rule(
                "a ledger that is not equal is something to look at",
                pl.col("is_ledger_equal") | (pl.col("to_look_at") > 0),
                ("is_ledger_equal", "to_look_at"),
            ),
        ),
    )


def _money() -> tuple[Column, ...]:
    return (
        count("trades", "trades", "Round trips closed."),
        count("wins", "trades", "Those that made money after fees."),
        usd("net_usd", "Result after fees."),
        usd("fees_usd", "Commissions and fees."),
        number("net_r", "R", "Results after fees in multiples of their risks.", null=_NO_TRADE),
    )


def _decided() -> tuple[Column, ...]:
    return (
        count("bars", "bars", "Bars decided on."),
        count("entries", "decisions", "Decisions to enter."),
        text(
            "reason_most_often",
            "The first no of most bars.",
            null="every bar was an entry, or none was decided on",
            choices=REASONS,
        ),
        count("setups_refused", "setups", "Setups that were refused and can be followed."),
        number("refused_r", "R", "What those would have come to, after costs; 0 without any."),
    )


def _data() -> tuple[Column, ...]:
    return (
        count("missing_bars", "bars", "Minutes of the session without a stored bar."),
        count("rejected_rows", "rows", "Rows of the source that are no bars."),
        share("dvs_mean", "Mean data validity score.", null=_NO_BAR),
        share("dvs_min", "Least data validity score.", null=_NO_BAR),
        count("doubtful_bars", "bars", "Bars that no entry may use, by their score."),
    )


def _learned() -> tuple[Column, ...]:
    return (
        count("trust_changes", "templates", "Templates whose trust changed this night."),
        text("quarantined", "Templates that may not enter from now on; joined by commas."),
        share("brier", "Mean Brier score of the sides.", null=_NO_MATURE),
        share("calibration_error", "Mean calibration error of the sides.", null=_NO_MATURE),
        count("maps_earned", "maps", "Sides whose map may be used."),
    )


def _kept() -> tuple[Column, ...]:
    return (
        text(
            "desk_state",
            "The kill switch at the end of the session.",
            choices=tuple(state.value for state in KillState),
        ),
        flag("is_ledger_equal", "The trades explain the broker's cash to the cent."),
        flag("is_chain_whole", "The journal's hash chain is unbroken."),
        Column(
            name="journal_events",
            dtype=pl.Int64(),
            unit="events",
            meaning="Events of the session in its journal.",
            low=0,
        ),
        text("journal_digest", "Hash of the last of them.", pattern=r"^[0-9a-f]{64}$"),
        count("to_look_at", "findings", "What a person should look at before the next open."),
    )
