"""Facts as canonical JSON text and back: the same fact is the same bytes, and survives the journey.

A record is an object of its fields in the order of its class, led by the class's name. Instants are
ISO 8601, money is text, enums are their values, floats keep every bit.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

import orjson

from engine.errors import JournalError

TYPE: Final = "fact"
"""The key that names a record's class."""


def to_json(record: object, *, without: str = "") -> str:
    """Canonical text of a dataclass; one of its own fields may be left out.

    Raises `JournalError` for a value that has no canonical form.
    """
    plain = _record(record)
    plain.pop(without, None)
    try:
        return orjson.dumps(plain, default=_plain, option=_OPTIONS).decode()
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, JournalError):
            raise error.__cause__ from None
        raise


_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS


def _record(record: object) -> dict[str, Any]:
    kind = type(record)
    plain: dict[str, Any] = {TYPE: kind.__name__}
    for name in _names(cast("Hashable", kind)):
        plain[name] = getattr(record, name)
    return plain


def _plain(value: object) -> Any:
    """What orjson does not write by itself, or not with its name."""
    if isinstance(value, Decimal):
        return str(value)
    if is_dataclass(value):
        return _record(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise JournalError(f"expected a value with a canonical form, got {type(value).__name__}")


@lru_cache(maxsize=256)
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


class Reader:
    """Reads back records of the given classes, and of every class that their fields can hold."""

    def __init__(self, *classes: type) -> None:
        self._classes = {known.__name__: known for known in _with_inner(classes)}

    def from_json(self, text: str, **given: object) -> Any:
        """The record a text describes; `given` are the fields that were left out of it.

        A field with a default came later than the class and may be missing. Raises `JournalError`
        for a class or field this version does not know.
        """
        return self._record(orjson.loads(text), given)

    def _record(self, plain: dict[str, Any], given: Mapping[str, object]) -> Any:
        name = plain.pop(TYPE, None)
        known = self._classes.get(name)
        if known is None:
            raise JournalError(
                f"expected a record of {sorted(self._classes)}, got {name!r}; "
                "the journal was written by another version: read it with that one"
            )
        hints = _hints(known)
        if not _required(known) <= {*plain, *given} <= hints.keys():
            raise JournalError(
                f"{name}: expected the fields {sorted(hints)}, got {sorted({*plain, *given})}; "
                "the journal was written by another version: read it with that one"
            )
        own = {key: self._revived(hints[key], value) for key, value in plain.items()}
        return known(**own, **given)

    def _revived(self, hint: Any, plain: Any) -> Any:
        if plain is None:
            return None
        if isinstance(plain, dict) and TYPE in plain:
            return self._record(plain, {})
        inner, made = _form(hint)
        if made is None:
            return plain
        if made is tuple:
            return tuple([self._revived(inner[0], item) for item in plain])
        if made is dict:
            return {
                self._revived(inner[0], k): self._revived(inner[1], v) for k, v in plain.items()
            }
        return made(plain)


@lru_cache(maxsize=1024)
def _form(hint: Any) -> tuple[tuple[Any, ...], Callable[[Any], Any] | None]:
    """The hints inside one, and what makes its value of a plain one; null where that is it."""
    hint = getattr(hint, "__supertype__", hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return _form(next(i for i in inner if i is not type(None)))
    if origin is not None:
        return inner, tuple if origin is tuple else dict
    if hint in (datetime, date):
        return (), hint.fromisoformat
    return (), hint if issubclass(hint, Enum | Decimal) else None


@lru_cache(maxsize=256)
def _hints(known: type) -> dict[str, Any]:
    return get_type_hints(known)


@lru_cache(maxsize=256)
def _required(known: Any) -> frozenset[str]:
    """The fields of a record that have no default."""
    return frozenset(
        item.name
        for item in fields(known)
        if item.default is MISSING and item.default_factory is MISSING
    )


def _with_inner(classes: Iterable[type]) -> set[type]:
    """The given record classes and all that their fields name, however deep."""
    found: set[type] = set()
    waiting: list[Any] = list(classes)
    while waiting:
        hint = waiting.pop()
        if is_dataclass(hint) and isinstance(hint, type) and hint not in found:
            found.add(hint)
            waiting += _hints(hint).values()
        waiting += get_args(hint)
    return found
