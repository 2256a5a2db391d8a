"""The exchange's state as plain JSON values and back, so that a session survives a restart."""

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from engine.broker import BrokerReport, CompletedOrder, ExecutionReported, WorkingOrder
from engine.errors import InputRefused
from engine.exchange.book import BookOrder, OcaGroup
from engine.exchange.faults import FaultKind, Pending
from engine.units import OrderRef

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeState:
    """Everything that decides what the exchange does next, apart from its settings."""

    position: int
    flow_ticks: int
    fees_usd: Decimal
    mark_ticks: int
    margin_usd_per_contract: Decimal
    executions: tuple[ExecutionReported, ...]
    executions_today: int
    orders: tuple[BookOrder, ...]
    groups: Mapping[OrderRef, OcaGroup]
    told: tuple[BrokerReport, ...]
    pending: tuple[Pending, ...]
    is_up: bool
    up_again_at: datetime | None
    last_bar_at: datetime | None
    seed: int
    draws: int
    rates: Mapping[FaultKind, float]
    delay_seconds: int
    outage_seconds: int


REPORT_TYPES: Final[Mapping[str, type]] = {kind.__name__: kind for kind in get_args(BrokerReport)}
PARTS: Final = (ExchangeState, BookOrder, OcaGroup, Pending, WorkingOrder, CompletedOrder)
FIELD_TYPES: Final[Mapping[type, Mapping[str, Any]]] = {
    kind: get_type_hints(kind) for kind in (*PARTS, *REPORT_TYPES.values())
}


def to_plain(value: object) -> Any:
    """JSON values for any record of the exchange; a report also carries the name of its type."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        plain = {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
        name = type(value).__name__
        return {"type": name, **plain} if name in REPORT_TYPES else plain
    return value


def to_record(kind: type[Record], plain: Mapping[str, Any]) -> Record:
    """The record that `to_plain` wrote; raises `InputRefused` for a missing or unknown field."""
    hints = FIELD_TYPES[kind]
    if set(hints) != set(plain) - {"type"}:
        raise InputRefused(
            f"{kind.__name__}: expected the fields {sorted(hints)}, got {sorted(plain)}; "
            "the state was written by another version: start the session again"
        )
    return kind(**{name: _revive(hint, plain[name]) for name, hint in hints.items()})


def _revive(hint: Any, plain: Any) -> Any:
    hint = getattr(hint, "__supertype__", hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if isinstance(plain, Mapping):
            return to_record(REPORT_TYPES[plain["type"]], plain)
        return None if plain is None else _revive(inner[0], plain)
    if origin is tuple:
        return tuple(_revive(inner[0], item) for item in plain)
    if origin is not None:
        return {_revive(inner[0], key): _revive(inner[1], item) for key, item in plain.items()}
    if hint is datetime:
        return datetime.fromisoformat(plain)
    if isinstance(hint, type) and is_dataclass(hint):
        return to_record(hint, plain)
    return hint(plain) if issubclass(hint, Enum | Decimal) else plain
