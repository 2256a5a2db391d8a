"""Whatever a person or a file says: accepted, or one clear message, and never another exception."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from command_line import credence
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts import load_rules
from contracts.loader import FOLDER
from engine.errors import ContractError, CredenceError
from pipelines.commands.exits import Exit
from pipelines.sources import parse_source

DATES = st.sampled_from(("2025-01-02", "2025-02-30", "02.01.2025", "", "-", "9999-12-31"))
WORDS = st.one_of(
    DATES,
    st.text(alphabet="-=:/.0123456789abcMES é\x00\n", max_size=8),
    st.sampled_from(("--json", "--from", "--to", "--of", "--seed", "--replay", "csv:", "lean:/x")),
)
COMMANDS = (
    "status",
    "verify",
    "journal",
    "replay",
    "ingest",
    "learn",
    "gateway",
    "campaign --replay",
)
BYTES = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet='timestamp,openhlcv\n0123456789.-:TZ "', max_size=200).map(str.encode),
)


@settings(max_examples=40)
@given(st.sampled_from(COMMANDS), st.lists(WORDS, max_size=4))
@example("campaign --replay", ["1:troubles=plague"])
def test_no_line_of_arguments_ends_in_a_traceback(command: str, words: list[str]) -> None:
    with TemporaryDirectory() as home:
        ended = credence(Path(home), *command.split(), *words, "--no-such-option")

    assert ended.code == Exit.USAGE
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.err


@settings(max_examples=40)
@given(BYTES)
def test_a_file_of_any_bytes_is_bars_or_a_typed_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        for kind in ("csv", "parquet"):
            path = Path(folder) / f"bars.{kind}"
            path.write_bytes(content)
            with suppress(CredenceError):
                parse_source(f"{kind}:{path}?tz=UTC").date_range()


@settings(max_examples=20)
@given(st.sampled_from(sorted(FOLDER.glob("*.yaml"))), st.data())
def test_a_contract_with_any_piece_replaced_is_rules_or_a_contract_error(
    spoiled: Path, data: st.DataObject
) -> None:
    text = spoiled.read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(st.text(alphabet="-:#[]{}&*!|>'\"%@`,?~ \n\t\x00é0123456789abc", max_size=12))

    with TemporaryDirectory() as folder:
        for path in FOLDER.glob("*.yaml"):
            other = path.read_text(encoding="utf-8")
            changed = text[:start] + piece + text[end:] if path == spoiled else other
            (Path(folder) / path.name).write_text(changed, encoding="utf-8")
        with suppress(ContractError):
            load_rules("MES", Path(folder))


@pytest.mark.parametrize("content", [b"a: \x00", b"\xff\xfe"])
def test_a_contract_that_is_no_text_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    for path in FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "trade.yaml").write_bytes(content)

    with pytest.raises(ContractError, match=r"trade\.yaml"):
        load_rules("MES", tmp_path)
