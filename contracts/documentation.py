"""Writes `docs/contracts.md` and `docs/tables.md` from the contract files and the table schemas.

A key's documentation is its comment: the one after its value, or the lines above it. In a list the
first item that carries a comment speaks for all, and a mapping on one line is documented by the
comment of the key that holds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from contracts.ceilings import RANGES
from contracts.fit_writer import FITTED_KEYS
from contracts.reading import FILES, FOLDER, ContractLoader
from contracts.schemas import DESK_TABLES, JOURNAL_TABLES, TABLES, table
from contracts.schemas.table import Column, Table

_CONTRACTS_HEAD: Final = """# Contracts

Written by `contracts.documentation` from the files in `contracts/`; a test holds this page equal to
them. A key marked *ceiling* has a hard limit in code (`contracts/ceilings.py`): the file may be
stricter, never looser. Every other number has a range outside of which it makes no sense. An
unknown key, a missing key or a value of another type is refused when the contracts are loaded. What
a fit sets is not repeated here, so that a new fit leaves this page true.
"""

_TABLES_HEAD: Final = """# Tables

Written by `contracts.documentation` from the schemas in `contracts/schemas/`; a test holds this
page equal to them. Null means unknown. Every write is validated first; rows that break a rule are
not stored.
"""


_VALUES_SHOWN_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a contract file: its values as written (none for a block) and its comment."""

    key: str
    values: tuple[str, ...]
    comment: str


def write_pages(docs: Path) -> None:
    """Write both pages into a folder."""
    (docs / "contracts.md").write_text(contracts_page(), encoding="utf-8")
    (docs / "tables.md").write_text(tables_page(), encoding="utf-8")


def contracts_page(folder: Path = FOLDER) -> str:
    """Markdown: one table of keys per contract file."""
    parts = [_CONTRACTS_HEAD]
    for stem in FILES:
        text = (folder / f"{stem}.yaml").read_text(encoding="utf-8")
        parts += [f"## `{stem}.yaml`\n\n{_header_comment(text)}\n", _entries_table(stem, text)]
    return "\n".join(parts)


def tables_page() -> str:
    """Markdown: one section per stored table."""
    return "\n".join([_TABLES_HEAD, *(_table_section(table(name)) for name in TABLES)])


def entries(text: str) -> list[Entry]:
    """Every key of a contract file, in order; keys of list items under `[]`, with all values."""
    root = yaml.compose(text, Loader=ContractLoader)
    found: dict[str, Entry] = {}
    for entry in _walk(root, "", text.splitlines()):
        known = found.get(entry.key, Entry(entry.key, (), ""))
        values = (*known.values, *entry.values)
        found[entry.key] = Entry(entry.key, values, known.comment or entry.comment)
    return list(found.values())


def _walk(node: yaml.Node | None, path: str, lines: list[str]) -> Iterator[Entry]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _walk(item, f"{path}[]", lines)
    elif isinstance(node, yaml.MappingNode) and not node.flow_style:
        for key, value in node.value:
            name = f"{path}.{key.value}" if path else key.value
            yield Entry(name, _value_texts(value), _comment(key, value, lines))
            yield from _walk(value, name, lines)


def _value_texts(node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.ScalarNode):
        return (" ".join(str(node.value).split()),)
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        return (", ".join(f"{key.value} {value.value}" for key, value in node.value),)
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        return (", ".join(str(item.value) for item in node.value),)
    if isinstance(node, yaml.SequenceNode):
        texts = [text for item in node.value if item.flow_style for text in _value_texts(item)]
        return ("; ".join(texts),) if texts else ()
    return ()


def _comment(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    """The comment behind the value, or the lines of comment directly above the key."""
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    is_folded = isinstance(value, yaml.ScalarNode) and value.style in {"|", ">"}
    end = key.end_mark if is_block or is_folded else value.end_mark
    trailing = lines[end.line][end.column :].partition("# ")[2]
    if trailing:
        return trailing.strip()
    row = key.start_mark.line
    above: list[str] = []
    while row > 0 and lines[row - 1].strip().startswith("# "):
        row -= 1
        above.insert(0, lines[row].strip().removeprefix("# "))
    return "" if row == 0 else " ".join(above)  # What opens the file speaks for all of it.


def _header_comment(text: str) -> str:
    """The comment that opens a file."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return "\n".join(lines)


def _entries_table(stem: str, text: str) -> str:
    rows = ["| key | value | bounds | unit and reason |", "|---|---|---|---|"]
    for entry in entries(text):
        is_fitted = stem == "beliefs" and entry.key in FITTED_KEYS
        value = "*fitted*" if is_fitted else _shown_values(entry)
        bounds = bounds_text(stem, entry.key)
        rows.append(f"| `{entry.key}` | {value} | {bounds} | {_cell(entry.comment)} |")
    return "\n".join(rows) + "\n"


def _shown_values(entry: Entry) -> str:
    """All values of a key, or the one that they all are, or their number where they fill pages."""
    is_same = len(set(entry.values)) == 1
    if len(entry.values) > _VALUES_SHOWN_MAX and not is_same:
        return f"*{len(entry.values)} values*"
    return " · ".join(_cell(value) for value in entry.values[: 1 if is_same else None])


def bounds_text(stem: str, key: str) -> str:
    """The range of a key as `contracts/ceilings.py` has it; empty for what is no number."""
    shown = key.partition(".")[2] if stem == "instrument" else key
    parent, _, leaf = shown.rpartition(".")
    patterns = (shown, f"{parent}.*", f"{parent.rpartition('.')[0]}.*.{leaf}")
    for pattern in patterns:
        if bounds := RANGES.get(f"{stem}.{pattern}"):
            ceiling = ", *ceiling*" if bounds.is_ceiling else ""
            return f"{bounds.low:f} to {bounds.high:f}{ceiling}"
    return ""


def _table_section(schema: Table) -> str:
    stored = "DuckDB" if schema.name in DESK_TABLES else "Parquet"
    stored = "SQLite" if schema.name in JOURNAL_TABLES else stored
    key = f"Key: {', '.join(f'`{name}`' for name in schema.key)}." if schema.key else "No key."
    rows = ["| column | type | unit | null | range | meaning |", "|---|---|---|---|---|---|"]
    rows += [_column_row(column) for column in schema.columns]
    rules = [f"- {_cell(rule.text)}" for rule in schema.row_rules]
    parts = [f"## `{schema.name}`\n", f"{schema.meaning} {key} Stored in {stored}.\n", *rows, ""]
    if rules:
        parts += ["On every row:\n", *rules, ""]
    return "\n".join(parts)


def _column_row(column: Column) -> str:
    cells = (
        f"`{column.name}`",
        _type_name(column),
        column.unit,
        column.null,
        _range_text(column),
        column.meaning,
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _type_name(column: Column) -> str:
    return "Datetime(UTC)" if str(column.dtype).startswith("Datetime") else str(column.dtype)


def _range_text(column: Column) -> str:
    if column.choices is not None:
        return ", ".join(f"`{choice}`" for choice in column.choices)
    if column.low is not None and column.high is not None:
        return f"{column.low:g} to {column.high:g}"
    if column.low is not None:
        return f"from {column.low:g}"
    return f"`{column.pattern}`" if column.pattern is not None else ""


def _cell(text: str) -> str:
    """Text that fits into one cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def main() -> None:
    """Write both pages into `docs/` of the working tree: `python -m contracts.documentation`."""
    write_pages(FOLDER.parent / "docs")


if __name__ == "__main__":
    main()
