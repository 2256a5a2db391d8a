"""Market tables in a bucket of an S3-compatible store: Amazon's, MinIO, Ceph and their like.

The one module that speaks S3. Keys, region and endpoint come from the environment as for any other
tool of that world (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`);
without keys the machine's own role is asked. A put replaces an object in one step.
"""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import SettingsError, StoreUnreachable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from pyarrow.fs import S3FileSystem

SCHEME: Final = "s3://"
ENDPOINT: Final = "AWS_ENDPOINT_URL"
READERS: Final = 8
"""Objects fetched at a time: a session is small, and its fetch is mostly waiting."""

_ATTEMPTS: Final = 3
_REFUSED: Final = {
    "NO_SUCH_BUCKET": "the bucket does not exist; create it, or correct CREDENCE_MARKET",
    "ACCESS_DENIED": "these keys may not do that; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "to keys that may list, read, write and delete there",
    "INVALID_ACCESS_KEY_ID": "the store does not know this key; correct AWS_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH": "key and secret do not fit; correct AWS_SECRET_ACCESS_KEY",
    "INVALID_SIGNATURE": "key and secret do not fit; correct AWS_SECRET_ACCESS_KEY",
    "HTTP STATUS 403": "these keys may not do that; correct AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The objects under `s3://BUCKET/PREFIX`; raises `SettingsError` and `StoreUnreachable`."""

    url: str

    def where(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"

    def replace(self, name: str, content: bytes) -> bool:
        if self._holds(name, content):
            return False
        with self._asked(), self._files.open_output_stream(self._key(name)) as stream:
            stream.write(content)
        return True

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        with ThreadPoolExecutor(min(READERS, len(names))) as readers:
            contents = list(readers.map(self._content, names))
        return pl.concat([pl.read_parquet(io.BytesIO(each)) for each in contents])

    def is_readable(self, name: str) -> bool:
        try:
            pl.read_parquet_schema(io.BytesIO(self._content(name)))
        except (pl.exceptions.PolarsError, FileNotFoundError):
            return False
        return True

    def names(self, folder: str) -> Sequence[str]:
        found = self._below(folder, recursive=True)
        return sorted(name for name in found if name.endswith(".parquet"))

    def tables(self) -> Sequence[str]:
        return sorted(self._below("", recursive=False))

    def remove(self, name: str) -> bool:
        with self._asked():
            if not self._files.get_file_info(self._key(name)).is_file:
                return False
            self._files.delete_file(self._key(name))
        return True

    def for_sql(self) -> "AbstractFileSystem":
        """The same store as DuckDB can read it, under the addresses of `where`."""
        from fsspec.implementations.arrow import ArrowFSWrapper

        return ArrowFSWrapper(self._files)

    @property
    def _files(self) -> "S3FileSystem":
        return _files_at(os.environ.get(ENDPOINT, ""))

    def _key(self, name: str) -> str:
        return self.where(name).removeprefix(SCHEME)

    def _content(self, name: str) -> bytes:
        with self._asked(), self._files.open_input_file(self._key(name)) as stream:
            return bytes(stream.read())

    def _below(self, folder: str, *, recursive: bool) -> list[str]:
        from pyarrow.fs import FileSelector

        root = self._key("")
        with self._asked():
            try:
                found = self._files.get_file_info(
                    FileSelector((root + folder).rstrip("/"), recursive=recursive)
                )
            except FileNotFoundError:
                return []
        return [info.path.removeprefix(root) for info in found]

    def _holds(self, name: str, content: bytes) -> bool:
        with self._asked():
            size = self._files.get_file_info(self._key(name)).size
        return size == len(content) and self._content(name) == content

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """The store's refusals in words of settings, its silence as something to try again."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            said = str(error)
            for sign, advice in _REFUSED.items():
                if sign in said:
                    raise SettingsError(
                        f"CREDENCE_MARKET {self.url}: {advice} (the store said: {said})"
                    ) from error
            at = os.environ.get(ENDPOINT) or "Amazon's endpoint"
            raise StoreUnreachable(
                f"CREDENCE_MARKET {self.url}: expected an answer of the store at {at}, got none "
                f"({said}); check {ENDPOINT} and the network, then run again"
            ) from error


@lru_cache(maxsize=4)
def _files_at(endpoint: str) -> "S3FileSystem":
    """One client per endpoint and process; it keeps its connections."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(
        endpoint_override=endpoint or None,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        background_writes=False,
        allow_delayed_open=True,  # A small object is one request instead of three.
    )
