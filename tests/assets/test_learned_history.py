"""The history of a night: made once for all its stages, anew once what is stored differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
from replay_market import RULES, market

from assets.learned_history import learned_history
from assets.ports import Written


@dataclass
class Kept:
    """A market store of tables in memory."""

    tables: dict[str, pl.DataFrame]

    def write(self, table: str, rows: pl.DataFrame, *, symbol: str, session_date: date) -> Written:
        raise NotImplementedError

    def remove(self, table: str, *, symbol: str, session_date: date) -> bool:
        raise NotImplementedError

    def read(self, table: str, symbol: str, first_date: date, last_date: date) -> pl.DataFrame:
        within = pl.col("session_date").is_between(first_date, last_date)
        return self.tables[table].filter(within)

    def session_dates(self, table: str, symbol: str) -> Sequence[date]:
        return self.tables[table]["session_date"].unique().sort().to_list()


def kept() -> tuple[Kept, list[date]]:
    played = market(3)
    store = Kept({"bars": played.bars, "context": played.contexts})
    return store, list(store.session_dates("bars", "MES"))


def test_stages_of_one_night_share_one_history() -> None:
    store, dates = kept()

    first = learned_history(store, dates[2:], RULES)

    assert learned_history(store, dates[2:], RULES) is first
    assert first.dates == dates


def test_a_late_correction_of_a_bar_makes_another_history() -> None:
    store, dates = kept()
    before = learned_history(store, dates, RULES)
    corrected = pl.col("close_ticks") + (pl.int_range(pl.len()) == 500).cast(pl.Int32)
    store.tables["bars"] = store.tables["bars"].with_columns(close_ticks=corrected)

    after = learned_history(store, dates, RULES)

    assert after is not before
    assert after.frame["close_ticks"][500] == before.frame["close_ticks"][500] + 1


def test_other_nights_or_other_rules_make_another_history() -> None:
    store, dates = kept()
    whole = learned_history(store, dates, RULES)

    shorter = learned_history(store, dates[:2], RULES)
    ruled = learned_history(store, dates[:2], replace(RULES))

    assert shorter.dates == dates[:2] != whole.dates
    assert ruled is not shorter


def test_sessions_stored_without_a_context_are_looked_back_on_all_the_same() -> None:
    store, dates = kept()
    whole = learned_history(store, dates[2:], RULES)
    for known in dates[2:], []:
        contexts = store.tables["context"]
        store.tables["context"] = contexts.filter(pl.col("session_date").is_in(known))

        again = learned_history(store, dates[2:], RULES)

        assert again.dates == dates
        assert again.frame.equals(whole.frame)
