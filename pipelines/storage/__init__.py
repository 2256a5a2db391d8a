"""Stored tables of one data home: market tables in Parquet, desk tables in DuckDB."""

from pipelines.storage.atomic import write_atomically
from pipelines.storage.home import Home
from pipelines.storage.parquet import ParquetStore, WrittenPartition
from pipelines.storage.warehouse import DuckWarehouse

__all__ = ["DuckWarehouse", "Home", "ParquetStore", "WrittenPartition", "write_atomically"]
