"""Market tables in an S3-compatible store: the same bytes, the same answers, refusals in words."""

import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from pyarrow.fs import S3FileSystem
from test_storage_parquet import DAY, bars

from engine.errors import SchemaError, SettingsError, StoreUnreachable
from pipelines.storage import DuckWarehouse, Home, ParquetStore

NEXT = date(2024, 7, 2)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="needs the extra `distributed`")
    serving = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    yield f"http://{host}:{port}"
    serving.stop()


@pytest.fixture
def asked(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty store with one bucket; its address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "desk")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _posted(f"{endpoint}/moto-api/reset")
    _posted(f"{endpoint}/market", method="PUT")
    yield endpoint
    _posted(f"{endpoint}/moto-api/reset-auth", b"1e12")


def _posted(address: str, body: bytes = b"", method: str = "POST") -> None:
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(address, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request):
        pass


def stored_in(home: Home) -> ParquetStore:
    store = ParquetStore(home=home)
    for day in (DAY, NEXT):
        store.write("bars", bars(day=day), symbol="MES", session_date=day)
    return store


@pytest.fixture
def store(asked: str, tmp_path: Path) -> ParquetStore:
    return stored_in(Home(root=tmp_path / "far", bucket_url="s3://market/desk"))


def test_a_bucket_holds_the_bytes_of_the_folder_under_the_same_names(
    store: ParquetStore, asked: str, tmp_path: Path
) -> None:
    near = stored_in(Home(root=tmp_path / "near")).home

    names = near.tables.names("")

    assert list(store.home.tables.names("")) == list(names)
    assert names == [f"bars/MES/{day}.parquet" for day in (DAY, NEXT)]
    files = S3FileSystem(endpoint_override=asked)
    for name in names:
        with files.open_input_file(f"market/desk/{name}") as stored:
            assert stored.read() == (near.market / name).read_bytes()
    assert not (tmp_path / "far" / "market").exists()


def test_rows_come_back_from_a_bucket_in_order_of_session(store: ParquetStore) -> None:
    both = store.read("bars", "MES", DAY, NEXT)

    assert both.equals(pl.concat([bars(), bars(day=NEXT)]))
    assert store.read("bars", "MES", NEXT, NEXT).equals(bars(day=NEXT))
    assert store.read("bars", "MNQ", DAY, NEXT).equals(bars().clear())
    assert list(store.session_dates("bars", "MES")) == [DAY, NEXT]


def test_the_same_rows_are_not_written_to_a_bucket_again(store: ParquetStore) -> None:
    again = store.write("bars", bars(), symbol="MES", session_date=DAY)
    other = store.write("bars", bars(25_000), symbol="MES", session_date=DAY)

    assert (again.changed, other.changed) == (False, True)
    assert other.path == "s3://market/desk/bars/MES/2024-07-01.parquet"
    assert store.read("bars", "MES", DAY, DAY).equals(bars(25_000))


def test_a_session_is_removed_from_a_bucket_once(store: ParquetStore) -> None:
    removed = [store.remove("bars", symbol="MES", session_date=DAY) for _ in range(2)]

    assert removed == [True, False]
    assert list(store.session_dates("bars", "MES")) == [NEXT]


def test_one_question_reaches_tables_in_the_bucket_and_in_the_warehouse(
    store: ParquetStore,
) -> None:
    warehouse = DuckWarehouse(home=store.home)

    counted = warehouse.query(
        "SELECT session_date, count(*) AS bars FROM bars "
        "WHERE session_date NOT IN (SELECT session_date FROM decisions) GROUP BY ALL ORDER BY ALL"
    )

    assert counted.rows() == [(DAY, 390), (NEXT, 390)]


def test_half_an_object_is_refused_by_its_address(store: ParquetStore) -> None:
    store.home.tables.replace(f"bars/MES/{NEXT}.parquet", b"PAR1")

    with pytest.raises(SchemaError, match=rf"^s3://market/desk/bars/MES/{NEXT}\.parquet: expected"):
        store.read("bars", "MES", DAY, NEXT)


def test_a_bucket_that_is_not_there_is_named_with_what_to_do(asked: str, tmp_path: Path) -> None:
    home = Home(root=tmp_path, bucket_url="s3://nowhere/desk")

    with pytest.raises(SettingsError, match=r"s3://nowhere/desk: the bucket does not exist; crea"):
        stored_in(home)
    with pytest.raises(SettingsError, match="the bucket does not exist"):
        ParquetStore(home=home).session_dates("bars", "MES")


def test_keys_the_store_does_not_know_are_refused_with_what_to_correct(
    store: ParquetStore, asked: str
) -> None:
    _posted(f"{asked}/moto-api/reset-auth", b"0")

    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        store.read("bars", "MES", DAY, DAY)
    with pytest.raises(SettingsError, match="AWS_ACCESS_KEY_ID"):
        store.write("bars", bars(25_000), symbol="MES", session_date=DAY)


def test_a_store_that_does_not_answer_is_something_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "desk")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    with pytest.raises(StoreUnreachable, match=r"at http://127\.0\.0\.1:1, got none"):
        stored_in(Home(root=tmp_path, bucket_url="s3://market/desk"))
