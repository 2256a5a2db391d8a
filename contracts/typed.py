"""Plain contract data into frozen dataclasses: nothing unknown, missing or coerced."""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from contracts.reading import Plain
from engine.errors import ContractError

T = TypeVar("T")

NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    str: "text",
    date: "a date (YYYY-MM-DD)",
}


def build(kind: type[T], content: Plain, file: str, key: str = "") -> T:
    """A `kind` from parsed content; `file` and `key` tell a `ContractError` where it stands."""
    built: T = _build(kind, content, file, key)
    return built


def _build(kind: Any, content: Plain, file: str, key: str) -> Any:
    if kind in NAMES:
        return _build_scalar(kind, content, file, key)
    if is_dataclass(kind):
        return _build_dataclass(kind, content, file, key)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if content is None and type(None) in arguments:
            return None
        return _build(_kind_meant(arguments, content), content, file, key)
    if origin is tuple:
        if not isinstance(content, list):
            raise _wrong_type("a list", content, file, key)
        return tuple(
            _build(arguments[0], item, file, f"{key}[{item_label(item, index)}]")
            for index, item in enumerate(content)
        )
    if origin is Mapping:
        if not isinstance(content, dict):
            raise _wrong_type("a mapping", content, file, key)
        return {
            name: _build(arguments[1], item, file, f"{key}.{name}")
            for name, item in content.items()
        }
    raise TypeError(f"{file}.yaml: '{key}' is a {kind}, which no contract can hold")


def _kind_meant(kinds: Iterable[Any], content: Plain) -> Any:
    """Of a union's kinds the one that shares most keys with the content, the first of equals."""
    given = set(content) if isinstance(content, dict) else set()
    present = [kind for kind in kinds if kind is not type(None)]
    return max(present, key=lambda kind: len(given & _keys(kind)))


def _keys(kind: Any) -> set[str]:
    """Keys of a dataclass; none of another kind, which no mapping can mean."""
    return set(field_types(kind)) if isinstance(kind, type) and is_dataclass(kind) else set()


def _build_dataclass(kind: Any, content: Plain, file: str, key: str) -> Any:
    if not isinstance(content, dict):
        raise _wrong_type("a mapping", content, file, key)
    types_by_key = field_types(kind)
    for name in content:
        if name not in types_by_key:
            close = difflib.get_close_matches(name, types_by_key, n=1)
            advice = f"did you mean '{close[0]}'?" if close else "remove it"
            raise ContractError(f"{file}.yaml: unknown key '{_joined(key, name)}'; {advice}")
    if missing := sorted(_required(kind) - content.keys()):
        raise ContractError(
            f"{file}.yaml: missing key '{_joined(key, missing[0])}'; "
            "write it down, no limit has a default"
        )
    return kind(
        **{
            name: _build(types_by_key[name], item, file, _joined(key, name))
            for name, item in content.items()
        }
    )


def _build_scalar(kind: Any, content: Plain, file: str, key: str) -> Any:
    is_number = isinstance(content, int | Decimal) and not isinstance(content, bool)
    if kind is float and is_number:
        return float(content)  # type: ignore[arg-type]  # A number by the line above.
    if kind is Decimal and is_number:
        return Decimal(content)  # type: ignore[arg-type]  # As above.
    if type(content) is kind:
        if kind is str and not content:
            raise ContractError(f"{file}.yaml: '{key}' is empty; write what it is")
        return content
    raise _wrong_type(NAMES[kind], content, file, key)


@cache
def field_types(kind: Any) -> Mapping[str, Any]:
    """Types of a dataclass's fields by name, resolved."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _required(kind: Any) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind) if field.default is MISSING)


def item_label(item: object, index: int) -> str:
    """What a list item is called in a message: its id, else its name, else its position."""
    for name in ("id", "name", "signal"):
        label = item.get(name) if isinstance(item, dict) else getattr(item, name, None)
        if isinstance(label, str):
            return label
    return str(index)


def numbers(
    value: object, pattern: str, key: str
) -> Iterator[tuple[str, str, int | float | Decimal]]:
    """Every number under `value` as (pattern, key, number); patterns have `[]`, `.*` for names."""
    if isinstance(value, int | float | Decimal):
        if not isinstance(value, bool):
            yield pattern, key, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from numbers(item, f"{pattern}[]", f"{key}[{item_label(item, index)}]")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from numbers(item, f"{pattern}.*", f"{key}.{name}")
    elif is_dataclass(value) and not isinstance(value, type):
        for name in field_types(type(value)):
            item = getattr(value, name)
            if not isinstance(item, str):  # Most of a catalogue is text, and none of it a number.
                yield from numbers(item, f"{pattern}.{name}", _joined(key, name))


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _wrong_type(expected: str, content: Plain, file: str, key: str) -> ContractError:
    name = "nothing" if content is None else f"{type(content).__name__} {content!s}"
    return ContractError(
        f"{file}.yaml: '{key}': expected {expected}, got {name}; correct the value"
    )
