"""From the words on the command line to a source."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from assets.ports import BarSource
from engine.errors import SourceError
from pipelines.sources.files import FileKind, FileSource
from pipelines.sources.generator import GeneratorSource
from pipelines.sources.lean import LeanSource
from pipelines.sources.options import parse_options

SOURCE_KINDS: Final[Mapping[str, str]] = {
    "generator": "generator:SEED, seeded MES-like bars, any dates",
    "lean": "lean:DIR, a folder of LEAN minute zips",
    "csv": "csv:PATH?tz=ZONE, a CSV file with a header",
    "parquet": "parquet:PATH?tz=ZONE, a Parquet file; tz only if its times have none",
    "ibkr": "ibkr, minutes of IB's history through the gateway of the CREDENCE_IBKR_ settings",
}
"""What can be written after `credence ingest`, by kind."""


def parse_source(spec: str, contracts_folder: Path | None = None) -> BarSource:
    """The source that `kind:where` names; raises `SourceError` for words it cannot place.

    `contracts_folder` is where the generator reads instrument and calendar; null for the own ones.
    """
    kind, _, where = spec.partition(":")
    opener = _OPENERS.get(kind)
    if opener is None:
        nearest = get_close_matches(kind, list(SOURCE_KINDS), n=1)
        raise SourceError(
            f"expected a source, one of {'; '.join(SOURCE_KINDS.values())}; got {spec!r}"
            + (f"; did you mean {nearest[0]}?" if nearest else "")
        )
    if not where and kind != "ibkr":
        raise SourceError(f"{kind} source: expected {SOURCE_KINDS[kind]}; got {spec!r}")
    return opener(where, contracts_folder)


def _file(kind: FileKind, where: str) -> BarSource:
    path, _, options = where.partition("?")
    return FileSource(
        kind=kind, path=_path(kind.value, path), options=parse_options(kind.value, options)
    )


def _path(kind: str, text: str) -> Path:
    if "\x00" in text:
        raise SourceError(f"{kind} source: expected a path, got {text!r}; no path has a NUL in it")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SourceError(
            f"{kind} source: expected a path, got {text!r}, the home of a person this machine does "
            "not know; write the path in full"
        ) from None


def _generator(where: str, contracts_folder: Path | None) -> BarSource:
    if not where.isdecimal():
        raise SourceError(
            f"generator source: expected generator:SEED with a whole number from 0, got {where!r}"
        )
    return GeneratorSource(seed=int(where), contracts_folder=contracts_folder)


def _ibkr(where: str, contracts_folder: Path | None) -> BarSource:
    if where:
        raise SourceError(
            f"ibkr source: expected ibkr alone, got ibkr:{where}; "
            "CREDENCE_IBKR_HOST and CREDENCE_IBKR_PORT say where the gateway listens"
        )
    from pipelines.sources.ibkr import IbkrSource

    return IbkrSource(contracts_folder=contracts_folder)


_OPENERS: Final[Mapping[str, Callable[[str, Path | None], BarSource]]] = {
    "generator": _generator,
    "lean": lambda where, _: LeanSource(folder=_path("lean", where)),
    "csv": lambda where, _: _file(FileKind.CSV, where),
    "parquet": lambda where, _: _file(FileKind.PARQUET, where),
    "ibkr": _ibkr,
}
