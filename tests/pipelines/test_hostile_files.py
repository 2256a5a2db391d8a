"""Files and homes as hostile hands or a bad disk leave them: bars, or one typed message."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from command_line import credence
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from engine.errors import CredenceError, InputRefused
from pipelines.commands.exits import Exit
from pipelines.sources import parse_source

DAY = date(2013, 12, 9)
MEMBER = "20131209_es_minute_trade_201312.csv"
LINES = "".join(f"{48_600_000 + n * 60_000},1669,1669.25,1669,1669.25,100\n" for n in range(5))
TEXT = st.text(alphabet='timestamp,openhlcv\n0123456789.-:eTZ+"é\x00', max_size=120)


def lean_zip(member: str, content: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return buffer.getvalue()


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with one stretch replaced, or cut short."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 60)))
    tail = b"" if draw(st.booleans()) else whole[end:]
    return whole[:start] + draw(st.binary(max_size=30)) + tail


def read_lean(content: bytes, quotes: bytes | None = None) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "20131209_trade.zip").write_bytes(content)
        if quotes is not None:
            (Path(folder) / "20131209_quote.zip").write_bytes(quotes)
        parse_source(f"lean:{folder}").read("MES", DAY, DAY)


@settings(max_examples=60)
@given(spoiled(lean_zip(MEMBER, LINES)))
def test_a_lean_zip_with_spoiled_bytes_is_bars_or_a_typed_error(content: bytes) -> None:
    with suppress(CredenceError):
        read_lean(content)


@settings(max_examples=60)
@given(st.sampled_from((MEMBER, "x.csv", "../x.csv")), TEXT, st.booleans())
def test_a_lean_member_of_any_name_and_text_is_bars_or_a_typed_error(
    member: str, text: str, are_quotes: bool
) -> None:
    odd = lean_zip(member.replace("trade", "quote" if are_quotes else "trade"), text)
    with suppress(CredenceError):
        if are_quotes:
            read_lean(lean_zip(MEMBER, LINES), odd)
        else:
            read_lean(odd)


NAMES = ("timestamp", "open", "high", "low", "close", "volume", "bid", "ask", "symbol", "é", "")
INSTANT = datetime(2013, 12, 9, 14, 30, tzinfo=UTC)
INSTANTS = (INSTANT, INSTANT.replace(tzinfo=None), date(2013, 12, 9), timedelta(seconds=1))
VALUES = (1.5, -1, "1669.25", "x", None, True, [1], b"x", *INSTANTS)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=9),
    st.sampled_from(("UTC", "America/New_York", "", "Mars/One")),
)
def test_a_parquet_of_any_columns_is_bars_or_a_typed_error(
    columns: list[tuple[str, object]], zone: str
) -> None:
    frame = pl.DataFrame({name: [value, value] for name, value in dict(columns).items()})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.parquet"
        frame.write_parquet(path)
        with suppress(CredenceError):
            parse_source(f"parquet:{path}?tz={zone}").read("MES", DAY, DAY)


@settings(max_examples=60)
@given(
    spoiled(
        b"timestamp,open,high,low,close,volume\n"
        b"2013-12-09 09:30:00,1669,1669.25,1669,1669.25,100\n"
        b"2013-12-09 09:31:00,1669,1669.25,1669,1669.25,100\n"
    )
)
def test_a_csv_with_a_spoiled_stretch_is_bars_or_a_typed_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        path.write_bytes(content)
        with suppress(CredenceError):
            parse_source(f"csv:{path}?tz=America/New_York").read("MES", DAY, DAY)


@given(
    st.one_of(st.text(max_size=30), TEXT, st.sampled_from(("lean:", "csv:?tz=", "parquet:\x00")))
)
@example("csv:/tmp/\x00?tz=UTC")
@example("generator:99999999999999999999999999")
def test_a_source_of_any_words_is_a_source_or_refused_as_input(spec: str) -> None:
    with suppress(InputRefused):
        parse_source(spec)


# ── A home that was damaged ─────────────────────────────────────────────────────────────────────


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    dice = random.Random(str(path.name))
    for _ in range(1 + len(content) // 200):
        if content:
            content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(bytes(content))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (truncated, scribbled, emptied, removed, made_a_folder)
READING = (
    ("status",),
    ("status", "--json"),
    ("verify",),
    ("journal", "2025-01-06"),
    ("journal", "2025-01-06", "--at", "10:42"),
    ("replay", "--from", "2025-01-09"),
    ("learn",),
    ("report", "2025-01-06"),
)


def is_said_well(home: Path, *arguments: str) -> None:
    """The command ended by its own exit codes, and not by an error that nobody foresaw."""
    ended = credence(home, *arguments)
    assert ended.code in set(Exit)
    assert "Traceback" not in ended.err + ended.out
    assert "unexpected" not in ended.err
    if ended.code != Exit.DONE and "--json" not in arguments:
        assert ended.err or ended.out


@pytest.mark.parametrize("damage", DAMAGES)
@settings(
    max_examples=3,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(data=st.data())
def test_a_home_with_any_file_damaged_is_told_in_words(
    replayed_home: Path, damage: Callable[[Path], None], data: st.DataObject
) -> None:
    names = sorted(
        str(p.relative_to(replayed_home)) for p in replayed_home.rglob("*") if p.is_file()
    )
    name = data.draw(st.sampled_from(names))
    arguments = data.draw(st.sampled_from(READING))
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(replayed_home, home)
        damage(home / name)

        is_said_well(home, *arguments)


@pytest.mark.parametrize(
    ("damage", "name", "command"),
    [
        (scribbled, "journals/replay-MES.sqlite", ("status",)),
        (scribbled, "journals/replay-MES.sqlite", ("journal", "2025-01-06")),
        (emptied, "market/rejected_bars/MES/2025-01-02.parquet", ("report", "2025-01-06")),
    ],
)
def test_damage_that_was_once_told_as_unexpected_is_told_in_words(
    replayed_home: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    name: str,
    command: tuple[str, ...],
) -> None:
    home = tmp_path / "home"
    shutil.copytree(replayed_home, home)
    damage(home / name)

    is_said_well(home, *command)


# ── Mistakes on the command line ────────────────────────────────────────────────────────────────

MISTAKES = st.one_of(
    st.sampled_from(
        (
            ("status",),
            ("verify", "--session", "2025-01-05"),
            ("verify", "--session", "1899-12-31"),
            ("journal", "9999-12-31"),
            ("journal", "2025-01-06", "--at", "25:00"),
            ("journal", "2025-01-06", "--of", "../../etc"),
            ("journal", "2025-01-06", "--of", "\x00"),
            ("report", "0001-01-01"),
            ("report", "9999-12-31", "--preopen"),
            ("learn", "--from", "9999-01-01", "--to", "2000-01-01"),
            ("replay", "--from", "2025-02-01", "--to", "2025-01-01"),
            ("replay", "--equity", "-1"),
            ("replay", "--equity", "NaN"),
            ("replay", "--equity", "1e400"),
            ("evolve",),
            ("ingest", "generator:7", "--from", "2025-01-02", "--to", "2024-01-02"),
            ("ingest", "generator:x"),
            ("ingest", "csv:/no/such/file.csv?tz=UTC"),
            ("ingest", "csv:/?tz=UTC"),
            ("ingest", "csv:~nobody-at-all/x.csv?tz=UTC"),
            ("ingest", "lean:~nobody-at-all"),
            ("ingest", "parquet:/tmp/\x00?tz=UTC"),
            ("ingest", "lean:/etc/passwd"),
            ("ingest", "parquet:/dev/null?tz=UTC"),
            ("ingest", "generator:7", "--symbol", "../../x"),
            ("halt",),
            ("resume", "--reason", ""),
            ("campaign", "--replay", "1:until=-5:troubles="),
            ("campaign", "--sessions", "0"),
            ("fit-beliefs",),
        )
    ),
    st.tuples(
        st.sampled_from(("ingest", "journal", "report")),
        st.text(alphabet="-=:/.?0123456789abcMES é\n", max_size=12),
    ),
)


@settings(max_examples=25, deadline=None)
@given(MISTAKES)
def test_a_mistake_on_the_command_line_is_answered_in_words(arguments: tuple[str, ...]) -> None:
    with TemporaryDirectory() as folder:
        is_said_well(Path(folder) / "home", *arguments)


@pytest.mark.parametrize("home", ["/proc/1/mem", "/dev/null/x", "~nobody-at-all/x"])
def test_a_home_that_cannot_be_is_answered_in_words(home: str) -> None:
    ended = credence(Path(home), "status")

    assert ended.code in set(Exit)
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.err


def test_a_command_that_answers_in_json_does_so_on_an_empty_home(tmp_path: Path) -> None:
    assert json.loads(credence(tmp_path, "status", "--json").out)
