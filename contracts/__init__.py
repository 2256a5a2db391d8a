"""The law: contract files, their typed loader, the exchange calendar, one schema per table."""

from typing import TYPE_CHECKING

from contracts.reading import contracts_hash

if TYPE_CHECKING:
    from contracts.loader import load_rules

__all__ = ["contracts_hash", "load_rules"]


def __getattr__(name: str) -> object:
    """`load_rules` on first use: it needs the engine's columns, and so half a second of Polars."""
    if name != "load_rules":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from contracts.loader import load_rules

    return load_rules
