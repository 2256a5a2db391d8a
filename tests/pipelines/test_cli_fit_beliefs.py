"""`credence fit-beliefs`: what it would change, and that it changes nothing unasked."""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from command_line import credence

from contracts import load_rules
from contracts.reading import FOLDER
from engine.market import market_frame
from pipelines.commands.exits import Exit
from pipelines.commands.fit_beliefs import share_above, threshold_of
from pipelines.settings import Settings
from pipelines.stored_bars import stored_bars
from pipelines.wiring import Wiring


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A copy of the contract files."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    for path in FOLDER.glob("*.yaml"):
        shutil.copy(path, folder)
    return folder


def test_a_fit_is_shown_and_not_written(ingested_home: Path, contracts: Path) -> None:
    before = (contracts / "beliefs.yaml").read_bytes()

    ended = credence(ingested_home, "fit-beliefs", contracts=contracts)

    assert ended.code == Exit.DONE
    assert "6 sessions of generator:7, 2025-01-02 to 2025-01-10: 2,340 bars" in ended.out
    assert all(f"F{number}" in ended.out for number in range(1, 7))
    assert "Nothing was written" in ended.out
    assert (contracts / "beliefs.yaml").read_bytes() == before


def test_a_written_fit_is_what_was_shown_and_says_where_it_came_from(
    ingested_home: Path, contracts: Path
) -> None:
    answer = credence(ingested_home, "fit-beliefs", "--write", "--json", contracts=contracts).json

    beliefs = load_rules("MES", contracts).beliefs
    written = [(each.id, each.slope, each.intercept) for each in beliefs.constraints]
    shown = [
        (each["id"], each["new_slope"], each["new_intercept"]) for each in answer["constraints"]
    ]
    assert written == shown
    assert answer["written"] == str(contracts / "beliefs.yaml")
    assert (beliefs.fit.source, beliefs.fit.sessions) == ("generator:7", 6)
    assert (beliefs.fit.first_session_date, beliefs.fit.last_session_date) == (
        date(2025, 1, 2),
        date(2025, 1, 10),
    )


def test_fitting_twice_changes_nothing_more(ingested_home: Path, contracts: Path) -> None:
    credence(ingested_home, "fit-beliefs", "--write", contracts=contracts)
    once = (contracts / "beliefs.yaml").read_bytes()

    answer = credence(ingested_home, "fit-beliefs", "--write", "--json", contracts=contracts).json

    assert (contracts / "beliefs.yaml").read_bytes() == once
    for each in answer["constraints"]:
        assert each["new_slope"] == each["old_slope"]
        assert each["new_share"] == each["old_share"]


def test_shares_are_of_bars_by_session_and_of_either_side(ingested_home: Path) -> None:
    wiring = Wiring(settings=Settings(home=ingested_home))
    stored = stored_bars(wiring.market, wiring.rules, None, None)
    frame = market_frame(stored.contexts, stored.bars, wiring.rules)
    first = wiring.rules.beliefs.constraints[0]

    shares = share_above(frame, first, 0.65)

    day = frame.filter(pl.col("session_date") == date(2025, 1, 3))
    counted = sum(
        (long or 0.0) >= 0.65 or (short or 0.0) >= 0.65
        for long, short in day.select("f1_long_effective", "f1_short_effective").iter_rows()
    )
    assert shares.len() == 6
    assert shares[1] == counted / 390


def test_every_constraint_has_the_threshold_it_is_asked_for() -> None:
    rules = load_rules()

    thresholds = [threshold_of(each, rules) for each in rules.beliefs.constraints]

    strategies = rules.strategies
    assert thresholds == [
        *(template.belief_min for template in strategies.templates),
        strategies.noise_veto_belief,
        strategies.tradability_belief_min,
    ]


def test_a_contract_folder_that_is_not_whole_is_refused(
    ingested_home: Path, contracts: Path
) -> None:
    (contracts / "beliefs.yaml").unlink()

    ended = credence(ingested_home, "fit-beliefs", contracts=contracts)

    assert ended.code == Exit.USAGE
    assert "expected beliefs.yaml, found no such file" in ended.err
