"""Stored tables of one data home: market tables in Parquet, desk tables in DuckDB."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from pipelines.storage.home import Home

if TYPE_CHECKING:
    from pipelines.storage.atomic import replace_with, write_atomically
    from pipelines.storage.parquet import ParquetStore, WrittenPartition
    from pipelines.storage.warehouse import DuckWarehouse

__all__ = [
    "DuckWarehouse",
    "Home",
    "ParquetStore",
    "WrittenPartition",
    "replace_with",
    "write_atomically",
]

_MODULES: Final = {
    "DuckWarehouse": "warehouse",
    "ParquetStore": "parquet",
    "WrittenPartition": "parquet",
    "replace_with": "atomic",
    "write_atomically": "atomic",
}


def __getattr__(name: str) -> object:
    """The stores on first use: who only asks where things are need not wait for DuckDB."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pipelines.storage.{_MODULES[name]}"), name)
