"""What the last night says of each template; without Dagster, for whoever opens a session."""

from collections.abc import Collection, Mapping
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


def nights_done(
    table: Literal["learning_state", "calibration"],
    warehouse: Warehouse,
    session_dates: Collection[date],
    rules: Rules,
) -> set[date]:
    """Those of some sessions whose night has left its rows in a table already."""
    rows = warehouse.read(table, rules.instrument.symbol, min(session_dates), max(session_dates))
    return {*rows["session_date"].unique()} & {*session_dates}


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


def untaught_before(
    warehouse: Warehouse, session_date: date, rules: Rules, *, traded: Collection[date]
) -> list[date]:
    """Of the sessions that the desk traded before one, those without a whole night, ascending.

    A night is whole with its learning state and its calibration; either may fail alone.
    """
    whole = warehouse.query(
        "SELECT DISTINCT session_date FROM learning_state WHERE symbol = ? "
        "INTERSECT SELECT DISTINCT session_date FROM calibration WHERE symbol = ?",
        [rules.instrument.symbol] * 2,
    )["session_date"]
    return sorted({day for day in traded if day < session_date} - {*whole})


def refuse_forgetting(
    warehouse: Warehouse, session_dates: Collection[date], rules: Rules, *, traded: Collection[date]
) -> None:
    """Raises `MissingContext` for nights before which a session was traded that taught nothing.

    What it taught would be forgotten for good: each night builds on the one before it.
    """
    last = max(session_dates)
    missing = untaught_before(warehouse, last, rules, traded={*traded} - {*session_dates})
    if missing:
        raise MissingContext(
            f"learning state: expected the night of {missing[0]}, which the desk traded, before "
            f"that of {last}, found none, or half of it; run credence learn --from {missing[0]}"
        )


def standings_for(
    warehouse: Warehouse, session_date: date, rules: Rules, *, traded: Collection[date]
) -> Mapping[str, Standing]:
    """The standings under which a session is opened, with its odds; none before the first night.

    `traded` are the sessions that the desk traded. Raises `MissingContext` when one of them before
    the session has no night, or the last night is half a one: nothing taught may be forgotten.
    """
    state = state_before(warehouse, session_date, rules)
    learned = [] if state.is_empty() else [state["session_date"][0]]
    missing = untaught_before(warehouse, session_date, rules, traded={*traded, *learned})
    if missing:
        last = f"the last one is that of {learned[0]}" if learned else "there is none at all"
        raise MissingContext(
            f"learning state: expected the night of {missing[0]}, whole, found none, or half of it "
            f"({last}); run credence learn --from {missing[0]}, or the job nightly in the UI"
        )
    if not learned:
        return {}
    calibrated = warehouse.read("calibration", rules.instrument.symbol, learned[0], learned[0])
    return with_odds(standings(state, rules), calibrated, learned[0], rules)
