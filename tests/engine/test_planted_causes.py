"""Ten thousand trades of known cause: the rules find it, and never blame the model for the rest."""

from functools import cache
from pathlib import Path

import polars as pl
import pytest
from night_cases import RULES

from engine.learning.attribution import ATTRIBUTION_COLUMNS, Cause, attribution, causes
from engine.learning.luck import PEER_COLUMNS
from engine.learning.planted import Planted, confusion, planted
from engine.learning.planted.confusion import APART

DOCS = Path(__file__).resolve().parents[2] / "docs"
COUNT = 2_000
SEEDS = (2, 3, 4)
NOBODY = pl.DataFrame(schema=PEER_COLUMNS)


@cache
def case(seed: int) -> Planted:
    return planted(COUNT, seed, RULES)


@cache
def found(seed: int) -> pl.DataFrame:
    """Trades with their planted cause and everything the attribution says of them."""
    known = case(seed)
    rows = attribution(known.trades, known.market, known.outcomes, NOBODY, RULES)
    more = [name for name in rows.columns if name not in known.trades.columns]
    return pl.concat([known.trades, rows.select(more)], how="horizontal").with_columns(known.truth)


def pairs(seed: int) -> set[tuple[str, str]]:
    return set(found(seed).select("truth", "cause").iter_rows())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("apart", APART)
def test_what_lies_outside_the_model_is_never_taken_for_a_wrong_model(
    seed: int, apart: Cause
) -> None:
    assert (apart.value, Cause.WRONG_MODEL.value) not in pairs(seed)
    assert (Cause.WRONG_MODEL.value, apart.value) not in pairs(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_cause_is_found_more_often_than_anything_else(seed: int) -> None:
    shares = found(seed).group_by("truth").agg(share=(pl.col("cause") == pl.col("truth")).mean())

    assert set(shares["truth"]) == {cause.value for cause in Cause}
    assert shares["share"].min() > 0.6
    assert found(seed).select((pl.col("cause") == pl.col("truth")).mean()).item() > 0.88


def test_the_decoys_that_must_not_convince_are_there() -> None:
    wrong = found(2).filter(truth="A1")
    market = case(2).market
    shocked = market.filter("is_shock")["session_date"]
    doubted = market.filter(pl.col("quality_events") != "")["session_date"]

    assert wrong["session_date"].is_in(shocked.to_list()).sum() > 20
    assert wrong["session_date"].is_in(doubted.to_list()).sum() > 20
    assert (wrong["rejects"] > 0).sum() > 20
    assert (wrong["unprotected_seconds"] > 5).sum() > 20
    assert (wrong["worst_slippage_ticks"] > 2).sum() > 20


def test_evidence_that_did_not_look_when_an_event_was_would_be_seen() -> None:
    known = case(2)
    all_day = pl.col("quality_events").max().over("session_date")
    careless = known.market.with_columns(quality_events=all_day)

    rows = attribution(known.trades, careless, known.outcomes, NOBODY, RULES)

    assert ("A1", "A7") in set(zip(known.truth, rows["cause"], strict=True))


def test_the_parts_of_a_planted_result_sum_too() -> None:
    parts = pl.col("signal_usd") + pl.col("timing_usd") + pl.col("slippage_usd")

    assert found(2).select((parts - pl.col("fees_usd") == pl.col("net_usd")).all()).item()


def test_the_same_seed_plants_the_same_trades_and_another_one_others() -> None:
    again = planted(COUNT, 2, RULES)

    assert again.trades.equals(case(2).trades)
    assert again.market.equals(case(2).market)
    assert not again.trades.equals(case(3).trades)


def test_the_confusion_table_counts_every_trade_once() -> None:
    table = confusion(200, 5, RULES)

    assert table["truth"].to_list() == [f"A{number}" for number in range(10)]
    assert table.select(pl.sum_horizontal(table.columns[1:])).to_series().to_list() == [20] * 10


def test_every_cause_has_a_rule_a_line_on_the_page_and_a_verdict() -> None:
    page = (DOCS / "attribution.md").read_text(encoding="utf-8")

    assert set(causes(RULES)) == set(Cause) - {Cause.UNDETERMINED}
    for cause in Cause:
        assert f"{cause.value} {cause.words} |" in page
    assert found(2)["verdict"].str.ends_with(".").all()
    assert {"verdict", "cause"} <= set(ATTRIBUTION_COLUMNS)
