"""Exchanges numbers in the text of a contract file; comments and layout stay."""

import json
import os
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import yaml

from contracts.loader import rules_of
from contracts.reading import ContractLoader, Plain, parse_contract, read_contracts
from engine.errors import ContractError

Edit = tuple[yaml.Node, str]
"""A scalar of the text, and what stands there instead."""

NAMES: Final = ("id", "name", "signal")
"""Keys that tell the items of a list apart, in the order in which they are looked for."""

_STEP: Final = re.compile(r"([a-z_0-9]+)(?:\[([^\]]+)\])?")


def root_of(text: str, name: str) -> yaml.Node:
    """The parsed text with its places; `name` is the file's, for the message."""
    root = yaml.compose(text, Loader=ContractLoader)
    if root is None:
        raise ContractError(f"{name}: expected a mapping of keys, got nothing")
    return root


def child(node: yaml.Node, name: str) -> yaml.Node | None:
    """The value under a key of a mapping; null if there is none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def node_at(root: yaml.Node, key: str, name: str) -> yaml.ScalarNode:
    """The scalar of a key such as `constraints[F1].memory`; raises `ContractError` without one."""
    node: yaml.Node | None = root
    for step in key.split("."):
        found = _STEP.fullmatch(step)
        node = child(node, found[1]) if found and node is not None else None
        if found and found[2] is not None:
            items = node.value if isinstance(node, yaml.SequenceNode) else ()
            node = next((item for item in items if _name_of(item) == found[2]), None)
    if not isinstance(node, yaml.ScalarNode):
        raise ContractError(f"{name}: expected a value at '{key}', found none; correct the key")
    return node


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with the scalars exchanged."""
    ordered = sorted(edits, key=lambda edit: edit[0].start_mark.index, reverse=True)
    for node, value in ordered:
        text = text[: node.start_mark.index] + value + text[node.end_mark.index :]
    return text


def write_checked(path: Path, text: str) -> None:
    """Put a new text in the place of a contract file, if all contracts with it would load.

    Raises `ContractError` and leaves the file alone when they would not.
    """
    checked(path, text)
    put(path, text)


def checked(path: Path, text: str) -> dict[str, dict[str, Plain]]:
    """What all contracts would say with this text in the place of one of them.

    Raises `ContractError` when they would not load.
    """
    contents = read_contracts(path.parent) | {path.stem: parse_contract(text, path.name)}
    for symbol in contents["instrument"]:
        rules_of(contents, symbol)
    return contents


def put(path: Path, text: str) -> None:
    """Put a text in the place of a file in one step, durably: it is the old one or the new one."""
    aside = path.with_suffix(".yaml.new")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the disk has a file, or what a folder lists."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def scalar(value: float | str | date | None) -> str:
    """A value as the text of a contract writes it."""
    match value:
        case None:
            return "null"
        case int():
            return str(value)
        case float():
            return repr(value)
        case date():
            return value.isoformat()
        case str():
            return json.dumps(value, ensure_ascii=False)


def _name_of(item: yaml.Node) -> str | None:
    found = (child(item, name) for name in NAMES)
    named = next((node for node in found if isinstance(node, yaml.ScalarNode)), None)
    return None if named is None else str(named.value)
