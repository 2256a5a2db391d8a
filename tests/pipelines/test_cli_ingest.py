"""`credence ingest`, from the words of a person to stored bars and Dagster's knowledge of them."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from command_line import Ended, copied, credence

from contracts import load_rules
from pipelines.commands.exits import Exit
from pipelines.dagster_home import dagster_home_of, has_instance
from pipelines.sources.generator import GeneratorSource
from pipelines.storage import Home, ParquetStore

DAY = date(2025, 1, 2)
DATES = ("2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08", "2025-01-10")


def csv_of(path: Path, *, stated: str = "%Y-%m-%dT%H:%M:%S+00:00", **columns: pl.Expr) -> Path:
    """One generated session as a CSV file; times as the format says, columns as given."""
    rows = GeneratorSource(seed=7).read("MES", DAY, DAY)
    times = pl.col("opens_at").dt.convert_time_zone("America/New_York")
    zoned = pl.col("opens_at") if "+00:00" in stated else times
    named = rows.select(
        time=zoned.dt.strftime(stated),
        **{name: pl.col(name) for name in ("open", "high", "low", "close", "volume")},
    )
    named.with_columns(**columns).write_csv(path)
    return path


def of_january(home: Path, source: str = "generator:7", *more: str) -> Ended:
    return credence(home, "ingest", source, "--from", DATES[0], "--to", DATES[-1], *more)


def test_an_ingest_tells_what_it_stored(tmp_path: Path) -> None:
    answer = of_january(tmp_path, "generator:7", "--json").json

    assert answer == {
        "source": "generator:7",
        "symbol": "MES",
        "first_session_date": DATES[0],
        "last_session_date": DATES[-1],
        "sessions": 6,
        "changed_sessions": 6,
        "bars": 2340,
        "missing_bars": 0,
        "rejected": 0,
        "rejected_by_reason": {},
        "outside_rth": 0,
        "out_of_order": 0,
        "bars_as_the_desk_saw_them": 0,
        "bars_told_otherwise_by_the_source": 0,
        "missing_sessions": [],
        "refused_sessions": [],
        "sessions_that_lost_bars": [],
        "partitions_reported_to_dagster": 0,
    }
    stored = ParquetStore(home=Home(root=tmp_path)).session_dates("bars", "MES")
    assert [str(day) for day in stored] == list(DATES)


def test_the_same_ingest_again_changes_nothing(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")

    ended = of_january(home)

    assert ended.code == Exit.DONE
    assert "6 were stored already, just so" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("teletype:1",), "expected a source, one of generator:SEED"),
        (("generater:7",), "did you mean generator?"),
        (("generator:seven",), "expected generator:SEED with a whole number"),
        (("generator:7",), "say which: --from DATE --to DATE"),
        (("ibkr:here",), "expected ibkr alone"),
        (("csv:/no/such/file.csv?tz=UTC",), "cannot open the file"),
        (("generator:7", "--from", "2025-01-09", "--to", "2025-01-03"), "expected --from before"),
        (("generator:7", "--from", "2025-01-04", "--to", "2025-01-05"), "all of these days"),
        (("generator:7", "--symbol", "NOPE", "--from", DATES[0], "--to", DATES[0]), "'NOPE'"),
        (("generator:7", "--symbol", "m-e-s", "--from", DATES[0], "--to", DATES[0]), "SYMBOL"),
    ],
)
def test_what_cannot_be_ingested_is_refused_before_anything_is_stored(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ended = credence(tmp_path, "ingest", *arguments)

    assert ended.code == Exit.USAGE
    assert said in ended.err
    assert ended.out == ""
    assert not list(tmp_path.iterdir())


def test_a_csv_without_a_zone_is_refused_with_the_words_to_type(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", stated="%Y-%m-%d %H:%M")

    ended = credence(tmp_path / "home", "ingest", f"csv:{path}")

    assert ended.code == Exit.USAGE
    assert f"csv:{path}?tz=America/Chicago" in ended.err


def test_a_csv_in_the_wrong_zone_is_refused(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", stated="%Y-%m-%d %H:%M")

    wrong = credence(tmp_path / "wrong", "ingest", f"csv:{path}?tz=America/Los_Angeles")
    right = credence(tmp_path / "right", "ingest", f"csv:{path}?tz=America/New_York", "--json")

    assert wrong.code == Exit.USAGE
    assert "zone" in wrong.err
    assert not (tmp_path / "wrong" / "market").exists()
    assert right.json["bars"] == 390


def test_rejected_rows_are_told_by_reason(tmp_path: Path) -> None:
    off_grid = pl.when(pl.int_range(pl.len()) < 3).then(pl.col("close") + 0.1)
    path = csv_of(tmp_path / "bars.csv", close=off_grid.otherwise(pl.col("close")))

    ended = credence(tmp_path, "ingest", f"csv:{path}")
    answer = credence(tmp_path, "ingest", f"csv:{path}", "--json").json

    assert answer["rejected"] == 3
    assert answer["rejected_by_reason"] == {"off_grid": 3}
    assert answer["missing_bars"] == 3
    assert "off_grid" in ended.out
    assert "2025-01-02 (387 of 390)" in ended.out


def test_of_two_bars_of_one_minute_it_says_which_is_kept_and_where_the_other_is(
    tmp_path: Path,
) -> None:
    path = csv_of(tmp_path / "bars.csv")
    first = path.read_text().splitlines()[1].split(",")
    path.write_text(path.read_text() + ",".join([*first[:-1], "1"]) + "\n")

    ended = credence(tmp_path, "ingest", f"csv:{path}")

    assert "a minute again with other values; the first is kept" in ended.out
    assert "HOME/market/rejected_bars/MES/DATE.parquet" in ended.out
    assert (tmp_path / "market" / "rejected_bars" / "MES" / "2025-01-02.parquet").exists()


def test_bars_of_another_source_are_replaced_on_purpose_only(
    ingested_home: Path, tmp_path: Path
) -> None:
    home = copied(ingested_home, tmp_path / "home")
    path = csv_of(tmp_path / "bars.csv")

    refused = credence(home, "ingest", f"csv:{path}")
    replaced = credence(home, "ingest", f"csv:{path}", "--replace", "--json")

    assert refused.code == Exit.USAGE
    assert "--replace" in refused.err
    assert replaced.json["changed_sessions"] == 1


LOSS = {
    "session_date": "2025-01-02",
    "bars_before": 390,
    "bars_in_source": 100,
    "minutes_lost": 290,
}
"""What a file of the first hundred minutes would take away."""


def shortened(path: Path) -> None:
    """The header and the first hundred rows are left."""
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:101]))


def test_a_shorter_file_deletes_no_stored_bar(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv")
    home = tmp_path / "home"
    credence(home, "ingest", f"csv:{path}")
    shortened(path)

    ended = credence(home, "ingest", f"csv:{path}")
    answer = credence(home, "ingest", f"csv:{path}", "--json")

    assert ended.code == answer.code == Exit.NO
    assert "2025-01-02: 390 bars are stored, the source has 100 and lacks 290" in ended.err
    assert "--replace" in ended.err
    assert answer.json["refused_sessions"] == [LOSS]
    assert answer.json["sessions_that_lost_bars"] == []
    assert ParquetStore(home=Home(root=home)).read("bars", "MES", DAY, DAY).height == 390


def test_bars_are_lost_on_purpose_and_said_to_be(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv")
    home = tmp_path / "home"
    credence(home, "ingest", f"csv:{path}")
    shortened(path)

    answer = credence(
        copied(home, tmp_path / "as_json"), "ingest", f"csv:{path}", "--replace", "--json"
    )
    ended = credence(home, "ingest", f"csv:{path}", "--replace")

    assert ended.code == answer.code == Exit.DONE
    assert "lost stored bars" in ended.out
    assert answer.json["sessions_that_lost_bars"] == [LOSS]
    assert ParquetStore(home=Home(root=home)).read("bars", "MES", DAY, DAY).height == 100


def test_real_bars_are_ingested_whole(real_bars_dir: Path, tmp_path: Path) -> None:
    answer = credence(tmp_path, "ingest", f"lean:{real_bars_dir}", "--json").json

    assert (answer["sessions"], answer["bars"], answer["rejected"]) == (6, 2340, 0)
    assert answer["outside_rth"] > 5_000


def test_dagster_learns_of_what_the_command_wrote(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")
    with dg.DagsterInstance.from_config(str(dagster_home_of(home))) as instance:
        assert has_instance(home)

        first = of_january(home, "generator:7", "--json").json
        again = of_january(home, "generator:7", "--json").json

        for asset in ("bars", "rejected_bars"):
            known = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert sorted(known) == list(DATES)
        record = instance.fetch_materializations(dg.AssetKey("bars"), limit=1).records[0]
    materialised = record.asset_materialization
    assert materialised is not None
    assert materialised.metadata["source"].value == "generator:7"
    assert materialised.metadata["dagster/row_count"].value == 390
    assert first["partitions_reported_to_dagster"] == 12
    assert again["partitions_reported_to_dagster"] == 0


def test_an_instrument_of_the_contracts_can_be_named(tmp_path: Path) -> None:
    assert load_rules("MES").instrument.symbol == "MES"

    ended = credence(
        tmp_path, "ingest", "generator:7", "--symbol", "MES", "--from", DATES[0], "--to", DATES[0]
    )

    assert ended.code == Exit.DONE
