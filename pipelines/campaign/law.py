"""What a law is: a pure function that says in words what breaks it, or null."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeAlias, TypeVar

from engine.errors import CredenceError

Seen = TypeVar("Seen")
Law: TypeAlias = Callable[[Seen], str | None]


class LawBroken(CredenceError):
    """A law of the campaign does not hold."""

    def __init__(self, law: str, text: str, at: datetime) -> None:
        super().__init__(f"{law} at {at:%Y-%m-%d %H:%M:%S}: {text}")
        self.law, self.text, self.at = law, text, at


def judge(laws: Iterable[Law[Seen]], seen: Seen, at: datetime) -> None:
    """Raise `LawBroken` for the first law that what was seen breaks."""
    for law in laws:
        text = law(seen)
        if text is not None:
            raise LawBroken(law.__name__, text, at)
