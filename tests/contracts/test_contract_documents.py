"""Every contract key and stored column is documented, and the pages say what the files say."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from contracts.documentation import bounds_text, contracts_page, entries, tables_page
from contracts.reading import FILES, FOLDER
from contracts.schemas import TABLES, table
from contracts.typed import field_types
from engine.rules import Rules

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOT_WRITTEN = {"symbol", "contracts_hash"}  # The key of its block, and the hash of the files.


def text_of(stem: str) -> str:
    return (FOLDER / f"{stem}.yaml").read_text()


def field_names(kind: Any) -> Iterator[str]:
    """Names of all fields of a dataclass and of the dataclasses inside it."""
    if is_dataclass(kind):
        for field in fields(kind):
            yield field.name
            yield from field_names(field_types(kind)[field.name])
    for argument in get_args(kind):
        yield from field_names(argument)


@pytest.mark.parametrize("stem", FILES)
def test_every_contract_key_is_documented(stem: str) -> None:
    undocumented = [entry.key for entry in entries(text_of(stem)) if not entry.comment]

    assert undocumented == []


def test_a_key_without_a_comment_is_found() -> None:
    text = "# The file.\nold: 1  # unit; why\nnew: 2\nlist:\n  - {a: 1}\n"

    assert [entry.key for entry in entries(text) if not entry.comment] == ["new", "list"]


def test_every_field_of_the_rules_is_named_on_the_page() -> None:
    page = contracts_page()
    blocks = {field.name for field in fields(Rules)}

    missing = {name for name in field_names(Rules) if name not in page} - NOT_WRITTEN

    assert missing <= blocks


def test_the_comment_of_a_key_is_the_one_behind_it_or_the_lines_above_it() -> None:
    text = (
        "# The file.\n"
        "first: 1  # ticks; the # of it\n"
        "# Why there\n"
        "# is a second.\n"
        "second: {a: 1, b: 2}\n"
        "third:\n"
        "  - name: x  # text; a name\n"
        "    value: 1  # USD\n"
        "  - name: y\n"
        "    value: 2\n"
    )

    found = {entry.key: (entry.values, entry.comment) for entry in entries(text)}

    assert found == {
        "first": (("1",), "ticks; the # of it"),
        "second": (("a 1, b 2",), "Why there is a second."),
        "third": ((), ""),
        "third[].name": (("x", "y"), "text; a name"),
        "third[].value": (("1", "2"), "USD"),
    }


def test_a_ceiling_is_shown_with_its_bounds() -> None:
    assert bounds_text("constitution", "trades_per_day_max") == "0 to 2, *ceiling*"
    assert bounds_text("constitution", "tiers[].stop_ticks_max") == "1 to 12, *ceiling*"
    assert bounds_text("strategies", "templates[].settings.stop_atr") == "0.25 to 5"
    assert bounds_text("instrument", "MES.price_band_share") == "0.01 to 0.20"
    assert bounds_text("constitution", "version") == ""


def test_every_stored_column_is_on_the_page_of_the_tables() -> None:
    page = tables_page()

    for name in TABLES:
        section = page.split(f"## `{name}`\n")[1].split("\n## ")[0]
        for column in table(name).columns:
            assert f"| `{column.name}` |" in section, f"{name}.{column.name}"


@pytest.mark.parametrize(
    ("name", "page"), [("contracts.md", contracts_page), ("tables.md", tables_page)]
)
def test_the_stored_page_is_the_generated_one(name: str, page: Any) -> None:
    stored = (DOCS / name).read_text()

    assert stored == page(), "run `python -m contracts.documentation` and commit the pages"
