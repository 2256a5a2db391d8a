"""What the last night says of each template; without Dagster, for whoever opens a session."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import polars as pl

from assets.ports import Warehouse
from contracts.schemas import columns_of
from engine.errors import MissingContext
from engine.learning.calibration_table import with_odds
from engine.learning.learning_state import standings
from engine.own_view import Standing
from engine.rules import Rules


def state_before(warehouse: Warehouse, session_date: date, rules: Rules) -> pl.DataFrame:
    """The learning state of the last night before a session; empty if there was none."""
    return _before("learning_state", warehouse, session_date, rules)


def calibration_before(warehouse: Warehouse, session_date: date, rules: Rules) -> pl.DataFrame:
    """The calibration of the last night before a session; empty if there was none."""
    return _before("calibration", warehouse, session_date, rules)


def _before(
    table: Literal["learning_state", "calibration"],
    warehouse: Warehouse,
    session_date: date,
    rules: Rules,
) -> pl.DataFrame:
    symbol = rules.instrument.symbol
    newest = warehouse.query(
        f"SELECT max(session_date) AS day FROM {table} WHERE symbol = ? AND session_date < ?",  # noqa: S608
        [symbol, session_date],
    )["day"][0]
    if newest is None:
        return pl.DataFrame(schema=columns_of(table))
    return warehouse.read(table, symbol, newest, newest)


def standings_for(
    warehouse: Warehouse, session_date: date, rules: Rules, *, last_traded: date | None
) -> Mapping[str, Standing]:
    """The standings under which a session is opened, with its odds; none before the first night.

    `last_traded` is the session that the desk traded last. Raises `MissingContext` when its night
    has not been done: what it taught must not be forgotten.
    """
    state = state_before(warehouse, session_date, rules)
    learned = None if state.is_empty() else state["session_date"][0]
    if last_traded is not None and (learned is None or learned < last_traded):
        raise MissingContext(
            f"learning state: expected the night of {last_traded}, the last session traded, found "
            f"{'none' if learned is None else f'that of {learned}'}; run credence learn, or the "
            "job nightly in the UI"
        )
    if learned is None:
        return {}
    calibrated = warehouse.read("calibration", rules.instrument.symbol, learned, learned)
    return with_odds(standings(state, rules), calibrated, learned, rules)
