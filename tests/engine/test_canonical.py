"""Records as text and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from engine.canonical import Reader, to_json


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Values of which some are not known, inside other values."""

    at: tuple[datetime | None, ...]
    by_name: Mapping[str, Decimal | None]


def test_a_record_comes_back_with_what_is_unknown_inside_its_values():
    readings = Readings(
        at=(datetime(2025, 1, 2, tzinfo=UTC), None), by_name={"a": Decimal("1.5"), "b": None}
    )

    assert Reader(Readings).from_json(to_json(readings)) == readings
