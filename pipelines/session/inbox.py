"""Levers on their way to the desk: one small file per command, answered in another beside it.

A command is in the folder whole or not at all, and stays there until it was obeyed or refused: it
survives the end of whoever gave it and of whoever should obey it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

from engine.modes import OperatorVerb
from pipelines.session.process import read_json, write_json

EXPIRES_AFTER: Final = timedelta(seconds=60)
"""A resume or a flatten was meant for the moment it was given in; a kill or halt never expires."""

_LASTING: Final = frozenset({OperatorVerb.KILL, OperatorVerb.HALT})
_COMMAND: Final = ".command"
_ANSWER: Final = ".answer"


class Outcome(StrEnum):
    """How far a command has come; `OBEYED` of a kill or a flatten is not yet flat."""

    OBEYED = "obeyed"
    FLAT = "flat"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverCommand:
    """What a person asked for. `given_at` is wall time, UTC, as ISO text."""

    id: str
    verb: OperatorVerb
    by: str
    reason: str
    given_at: str

    @property
    def is_expired(self) -> bool:
        age = datetime.now(UTC) - datetime.fromisoformat(self.given_at)
        return self.verb not in _LASTING and age > EXPIRES_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverAnswer:
    """What became of a command so far; `is_final` when nothing more will be said."""

    id: str
    outcome: Outcome
    text: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class LeverInbox:
    """The folder of the levers; every method may be called by any process."""

    folder: Path

    def put(self, verb: OperatorVerb, *, by: str, reason: str) -> LeverCommand:
        """Leave a command for the desk; it is on disk when this returns."""
        given_at = datetime.now(UTC)
        id_ = f"{given_at:%Y%m%dT%H%M%S%f}-{verb.value}-{uuid4().hex[:8]}"
        command = LeverCommand(
            id=id_, verb=verb, by=by, reason=reason, given_at=given_at.isoformat()
        )
        path = self.folder / f"{id_}{_COMMAND}"
        write_json(path, asdict(command))
        _sync(path)
        _sync(self.folder)
        return command

    def waiting(self) -> list[LeverCommand]:
        """Commands that nobody has taken yet, oldest first. Cheap when there is none."""
        with suppress(FileNotFoundError):
            names = [entry.name for entry in os.scandir(self.folder)]
            return list(self._read(sorted(name for name in names if name.endswith(_COMMAND))))
        return []

    def answer(self, answer: LeverAnswer) -> None:
        """Say how far a command has come; with the first word it is no longer waiting."""
        write_json(self.folder / f"{answer.id}{_ANSWER}", asdict(answer))
        self.withdraw(answer.id)

    def answer_to(self, id_: str) -> LeverAnswer | None:
        """What was said last about a command; null while nothing was."""
        plain = read_json(self.folder / f"{id_}{_ANSWER}")
        if plain is None:
            return None
        return LeverAnswer(**{**plain, "outcome": Outcome(plain["outcome"])})

    def withdraw(self, id_: str) -> None:
        """Take a command back: somebody obeyed it, or acts in its place."""
        (self.folder / f"{id_}{_COMMAND}").unlink(missing_ok=True)

    def forget(self, id_: str) -> None:
        """Remove an answer that was read."""
        (self.folder / f"{id_}{_ANSWER}").unlink(missing_ok=True)

    def _read(self, names: list[str]) -> Iterator[LeverCommand]:
        for name in names:
            plain = read_json(self.folder / name)
            if plain is not None:
                yield LeverCommand(**{**plain, "verb": OperatorVerb(plain["verb"])})


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
