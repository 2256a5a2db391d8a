"""The law: contract files, their typed loader, the exchange calendar, one schema per table."""

from contracts.loader import contracts_hash, load_rules

__all__ = ["contracts_hash", "load_rules"]
