"""Facts as canonical JSON text and back: the same fact is the same bytes, and survives the journey.

A record is an object of its fields in the order of its class, led by the class's name. Instants are
ISO 8601, money is text, enums are their values, floats keep every bit.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
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
    """Canonical text of a dataclass or a NamedTuple; one of its own fields may be left out.

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


_NOTHING: Final[Mapping[str, object]] = {}
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
    if _is_record(type(value)):
        return _record(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise JournalError(f"expected a value with a canonical form, got {type(value).__name__}")


def _is_record(kind: Any) -> bool:
    """Whether a class is a dataclass or a NamedTuple."""
    return isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_field_defaults"))


@lru_cache(maxsize=256)
def _names(kind: Any) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(item.name for item in fields(kind))
    return cast("tuple[str, ...]", kind._fields)


class Reader:
    """Reads back records of the given classes, and of every class that their fields can hold."""

    def __init__(self, *classes: type) -> None:
        self._classes = {known.__name__: known for known in _with_inner(classes)}
        self._makers: dict[type, _Makers] = {}

    def from_json(self, text: str, **given: object) -> Any:
        """The record a text describes; `given` are the fields that were left out of it.

        A field with a default came later than the class and may be missing. Raises `JournalError`
        for a class or field this version does not know.
        """
        return self._record(orjson.loads(text), given)

    def _record(self, plain: dict[str, Any], given: Mapping[str, object] = _NOTHING) -> Any:
        name = plain.pop(TYPE, None)
        known = self._classes.get(name)
        if known is None:
            raise JournalError(
                f"expected a record of {sorted(self._classes)}, got {name!r}; "
                "the journal was written by another version: read it with that one"
            )
        names, makers = self._makers.get(known) or self._makers_of(known)
        told = {*plain, *given} if given else plain.keys()
        if told != names:
            _refuse_other_fields(known, told)
        for name, make in makers:
            value = plain.get(name)
            if value is not None:
                plain[name] = make(value)
        return known(**{**given, **plain})

    def _makers_of(self, known: type) -> "_Makers":
        """The fields of a class, and what makes those whose plain value is not it; found once."""
        hints = _hints(known)
        makers = ((name, self._maker(hint)) for name, hint in hints.items())
        own = frozenset(hints), tuple((name, make) for name, make in makers if make is not None)
        self._makers[known] = own
        return own

    def _maker(self, hint: Any) -> "_Maker | None":
        """What makes a value of a plain one; null where that is it."""
        hint = getattr(hint, "__supertype__", hint)
        origin, inner = get_origin(hint), get_args(hint)
        if origin in (UnionType, Union):
            return self._maker_of_any([i for i in inner if i is not type(None)])
        if origin is tuple:
            item = self._maker(inner[0])
            return tuple if item is None else lambda plain: tuple(map(item, plain))
        if origin is frozenset:
            member = self._maker(inner[0]) or _as_it_is
            return lambda plain: frozenset(map(member, plain))
        if origin is not None:
            key, value = (self._maker(i) or _as_it_is for i in inner)
            return lambda plain: {key(k): value(v) for k, v in plain.items()}
        if _is_record(hint):
            return self._record
        if hint in (datetime, date):
            return cast("_Maker", hint.fromisoformat)
        return cast("_Maker", hint) if issubclass(hint, Enum | Decimal) else None

    def _maker_of_any(self, hints: Sequence[Any]) -> "_Maker | None":
        """Of several classes a record names its own; other values are of the first."""
        first = self._maker(hints[0])
        if first is None and len(hints) == 1:
            return None

        def made(plain: Any) -> Any:
            if isinstance(plain, dict) and TYPE in plain:
                return self._record(plain)
            return plain if first is None or plain is None else first(plain)

        return made


_Maker = Callable[[Any], Any]
_Makers = tuple[frozenset[str], tuple[tuple[str, _Maker], ...]]


def _as_it_is(plain: Any) -> Any:
    return plain


def _refuse_other_fields(known: type, told: Collection[str]) -> None:
    """Raise `JournalError` unless only fields that have a default are missing."""
    hints = _hints(known)
    if not _required(known) <= set(told) <= hints.keys():
        raise JournalError(
            f"{known.__name__}: expected the fields {sorted(hints)}, got {sorted(told)}; "
            "the journal was written by another version: read it with that one"
        )


@lru_cache(maxsize=256)
def _hints(known: type) -> dict[str, Any]:
    return get_type_hints(known)


@lru_cache(maxsize=256)
def _required(known: Any) -> frozenset[str]:
    """The fields of a record that have no default."""
    if not is_dataclass(known):
        return frozenset(set(_names(known)) - set(known._field_defaults))
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
        if _is_record(hint) and hint not in found:
            found.add(hint)
            waiting += _hints(hint).values()
        waiting += get_args(hint)
    return found
