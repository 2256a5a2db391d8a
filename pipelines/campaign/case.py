"""One run of the campaign as one line of text: a seed, and what was cut away from it."""

from dataclasses import dataclass
from typing import Self

from engine.errors import SettingsError
from pipelines.campaign.troubles import Trouble, trouble_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A run. Null means whatever the seed says: its sessions, its troubles, the whole of them.

    `until_minute` ends the run after that minute of its last session, and its first one is
    `first`, counted from the one the seed begins with.
    """

    seed: int
    first: int = 0
    sessions: int | None = None
    troubles: frozenset[Trouble] | None = None
    until_minute: int | None = None

    @property
    def text(self) -> str:
        """What `credence campaign --replay` takes, such as `17:sessions=1:troubles=lost+reject`."""
        parts = [str(self.seed)]
        if self.first:
            parts.append(f"first={self.first}")
        if self.sessions is not None:
            parts.append(f"sessions={self.sessions}")
        if self.troubles is not None:
            parts.append(f"troubles={'+'.join(sorted(self.troubles)) or 'none'}")
        if self.until_minute is not None:
            parts.append(f"until={self.until_minute}")
        return ":".join(parts)

    @classmethod
    def of(cls, text: str) -> Self:
        """The case that a line of text names; raises `SettingsError` for one that names none."""
        seed, *parts = text.strip().split(":")
        given = dict(part.partition("=")[::2] for part in parts)
        try:
            words = given.pop("troubles", None)
            sessions, until = given.pop("sessions", None), given.pop("until", None)
            case = cls(
                seed=int(seed),
                first=int(given.pop("first", 0)),
                sessions=None if sessions is None else int(sessions),
                troubles=None if words is None else _troubles(words),
                until_minute=None if until is None else int(until),
            )
        except ValueError as error:
            raise SettingsError(f"case {text!r}: {error}; {_SHAPE}") from None
        is_sound = (
            case.seed >= 0 and case.first >= 0 and (case.sessions is None or case.sessions > 0)
        )
        if given or not is_sound or len(parts) != len({part.partition("=")[0] for part in parts}):
            raise SettingsError(f"case {text!r}: {_SHAPE}")
        return case


_SHAPE = (
    "expected a line that the campaign printed, "
    "SEED[:first=N][:sessions=N][:troubles=A+B][:until=MINUTE]"
)


def _troubles(words: str) -> frozenset[Trouble]:
    return frozenset(trouble_of(word) for word in words.split("+") if word != "none")
