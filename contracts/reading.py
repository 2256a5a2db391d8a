"""Contract files as plain data: strict YAML, exact decimals, no duplicate keys."""

import hashlib
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypeAlias

import yaml

from engine.errors import ContractError

Plain: TypeAlias = bool | int | Decimal | str | date | list["Plain"] | dict[str, "Plain"] | None
"""What a contract file may hold. A number with a point is a `Decimal`, exactly as written."""

FOLDER: Final = Path(__file__).parent

FILES: Final = (
    "instrument",
    "calendar",
    "data",
    "beliefs",
    "strategies",
    "constitution",
    "decision",
    "execution",
    "trade",
    "biases",
    "learning",
)
"""Stems of the contract files; all must be there, and no others."""


def read_contracts(folder: Path = FOLDER) -> dict[str, dict[str, Plain]]:
    """Parsed content of every contract file by stem; raises `ContractError` with line and key."""
    return {
        stem: parse_contract(text, f"{stem}.yaml") for stem, text in contract_texts(folder).items()
    }


def contract_texts(folder: Path = FOLDER) -> dict[str, str]:
    """What every contract file says, by stem; a missing or unknown file is an error."""
    found = {path.stem for path in folder.glob("*.yaml")}
    if missing := sorted(set(FILES) - found):
        raise ContractError(
            f"{folder}: expected {missing[0]}.yaml, found no such file; "
            "restore it, no limit has a default"
        )
    if unknown := sorted(found - set(FILES)):
        raise ContractError(
            f"{folder}/{unknown[0]}.yaml: no contract has this name; "
            f"remove it or rename it to one of {', '.join(FILES)}"
        )
    return {stem: _text_of(folder / f"{stem}.yaml") for stem in FILES}


def contracts_hash(folder: Path | None = None) -> str:
    """SHA-256 of what the contract files say; comments, key order and spacing do not change it."""
    return content_hash(read_contracts(folder or FOLDER))


def content_hash(contents: Mapping[str, dict[str, Plain]]) -> str:
    """SHA-256 of parsed contents by file stem."""
    return hashlib.sha256(canonical(dict(contents)).encode()).hexdigest()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(
            f"{path.name}: expected UTF-8 text, byte {error.start} is none; save the file as UTF-8"
        ) from error


def parse_contract(text: str, name: str) -> dict[str, Plain]:
    """Parsed text of the file of this name; raises `ContractError` with file, line and key."""
    try:
        content = yaml.load(text, Loader=ContractLoader)  # noqa: S506 - a SafeLoader.
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ContractError(f"{name}, line {line}: {error.problem}; correct the file") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ContractError(f"{name}, line {line}: a control character; retype the line") from error
    if not isinstance(content, dict):
        raise ContractError(f"{name}: expected a mapping of keys, got {type(content).__name__}")
    return content


_TEXT: Final = "tag:yaml.org,2002:str"


class ContractLoader(yaml.CSafeLoader):
    """YAML without its traps: no yes/no booleans, no octal or clock-like numbers, no merges."""

    # PyYAML copies and extends this table per class; an empty one starts without its defaults.
    yaml_implicit_resolvers = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"(null|)", ("n", "")),
    ("bool", r"(true|false)", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9]*\.[0-9]+|[0-9]+\.?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)",
        "-+.0123456789",
    ),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "0123456789"),
):
    ContractLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), list(_first)
    )


def _mapping(loader: ContractLoader, node: yaml.MappingNode) -> dict[str, Plain]:
    content: dict[str, Plain] = {}
    for key_node, value_node in node.value:
        key = _value(loader, key_node)
        if not isinstance(key, str):
            raise _problem(key_node, f"key {key!r} must be text")
        if key in content:
            raise _problem(key_node, f"key '{key}' appears twice, and one of the two would be lost")
        content[key] = _value(loader, value_node)
    return content


def _value(loader: ContractLoader, node: yaml.Node) -> Plain:
    """What a node says; text, which most nodes are, without the way through the constructors."""
    if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
        return str(node.value)
    value: Plain = loader.construct_object(node, deep=True)
    return value


def _integer(_: ContractLoader, node: yaml.ScalarNode) -> int:
    return int(node.value)


def _decimal(_: ContractLoader, node: yaml.ScalarNode) -> Decimal:
    try:
        number = Decimal(node.value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise _problem(node, f"expected a finite number, got {node.value}")
    return number


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


ContractLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
ContractLoader.add_constructor("tag:yaml.org,2002:int", _integer)
ContractLoader.add_constructor("tag:yaml.org,2002:float", _decimal)


def canonical(content: Plain) -> str:
    """One text per content: sorted keys, shortest numbers; equal for equal values only."""
    match content:
        case None:
            return "null"
        case bool():
            return "true" if content else "false"
        case int() | Decimal():
            return _canonical_number(Decimal(content))
        case str():
            return _quoted(content)
        case date():
            return f"@{content.isoformat()}"
        case list():
            return f"[{','.join(canonical(item) for item in content)}]"
        case dict():
            pairs = (f"{_quoted(key)}:{canonical(content[key])}" for key in sorted(content))
            return f"{{{','.join(pairs)}}}"


def _canonical_number(number: Decimal) -> str:
    return "0" if number == 0 else f"{number.normalize():f}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
