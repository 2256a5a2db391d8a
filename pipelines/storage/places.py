"""Where the files of the market tables lie: a folder of the data home, or a bucket.

Both hold the same names with the same bytes, and replace a file in one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.storage.atomic import write_atomically

if TYPE_CHECKING:
    import polars as pl


class Place(Protocol):
    """Files by names such as `bars/MES/2024-07-01.parquet`."""

    def where(self, name: str) -> Path | str:
        """The file's path or address, for people and messages."""
        ...

    def replace(self, name: str, content: bytes) -> bool:
        """Replace a file in one step; false, and no write, if it already holds these bytes."""
        ...

    def read(self, names: Sequence[str]) -> "pl.DataFrame":
        """The rows of Parquet files, in the order of their names."""
        ...

    def is_readable(self, name: str) -> bool:
        """Whether the file is there and is a Parquet file."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """Names of the Parquet files anywhere below a folder, sorted; none if it is not there."""
        ...

    def tables(self) -> Sequence[str]:
        """Names of the tables that have files, sorted."""
        ...

    def remove(self, name: str) -> bool:
        """Delete a file; false if there was none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A place on a disk of this machine; new versions are written into `aside` first."""

    root: Path
    aside: Path

    def where(self, name: str) -> Path:
        return self.root / name

    def replace(self, name: str, content: bytes) -> bool:
        return write_atomically(self.root / name, content, self.aside)

    def read(self, names: Sequence[str]) -> "pl.DataFrame":
        import polars as pl  # Whoever only asks for names does not load it.

        return pl.read_parquet([self.root / name for name in names])

    def is_readable(self, name: str) -> bool:
        import polars as pl

        try:
            pl.read_parquet_schema(self.root / name)
        except (pl.exceptions.PolarsError, OSError):
            return False
        return True

    def names(self, folder: str) -> Sequence[str]:
        found = (self.root / folder).rglob("*.parquet")
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def tables(self) -> Sequence[str]:
        found = sorted(self.root.glob("*"))
        return [each.name for each in found if any(each.glob("*/*.parquet"))]

    def remove(self, name: str) -> bool:
        path = self.root / name
        existed = path.exists()
        path.unlink(missing_ok=True)
        return existed
