"""Table `sweep`: what every parameter set of a sweep came to."""

from typing import Final

import polars as pl

from contracts.schemas.columns import SESSION_DATE, SYMBOL, count, flag, number, share, text
from contracts.schemas.table import Column, Rule, Table
from contracts.schemas.trades import usd

SWEEP: Final = Table(
    name="sweep",
    meaning="What every parameter set of the newest sweep of some bars through a session came to.",
    key=("symbol", "session_date", "source", "number"),
    columns=(
        *(SYMBOL, SESSION_DATE),
        Column(
            name="source",
            dtype=pl.String(),
            unit="text",
            meaning="Where the bars that were swept came from, such as `generator:7`; `not "
            "recorded` in a row of before this was kept.",
            before="not recorded",
        ),
        count("number", "number", "The set; 0 is today's rules."),
        Column(
            name="first_session_date",
            dtype=pl.Date(),
            unit="date",
            meaning="First session of the sweep; `session_date` is the last.",
        ),
        count("sessions", "sessions", "Sessions swept.", low=1),
        count("seed", "number", "Seed that the sets were drawn from."),
        text("changes_json", "What differs from today's rules, as a JSON object of keys."),
        count("trades", "trades", "Round trips closed."),
        count("wins", "trades", "Those that made money after fees."),
        count("unfilled", "entries", "Entries that ended without a fill."),
        usd("net_usd", "Result after fees."),
        usd("drawdown_usd", "Deepest fall of the account from a peak, at session ends."),
        number("gain_r", "R", "Mean gain a session over today's rules."),
        number("sharpe", "ratio", "Mean of those gains over their deviation, per session."),
        share(
            "deflated_sharpe",
            "Probability that this ratio is above that of the luckiest of all sets.",
        ),
        flag("is_replayed", "The set was replayed bar by bar, since lone trades cannot tell it."),
        flag("is_checked", "Every trade was compared with a full replay, and agreed."),
    ),
    row_rules=(
        Rule("wins are trades", pl.col("wins") <= pl.col("trades"), ("wins", "trades")),
        Rule(
            "set 0 is today's rules",
            (pl.col("number") > 0) | (pl.col("changes_json") == "{}"),
            ("number", "changes_json"),
        ),
    ),
)
