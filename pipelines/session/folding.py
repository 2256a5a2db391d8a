"""What the desk knows of itself when a process starts: its journal, folded.

A journal goes on for years, and to fold all of it takes longer every day. So whoever holds the lock
keeps what it folded beside the journal, and the next start folds on from there. What is kept is a
shortcut and never the truth. It counts where it is whole, was made by this code under these
contracts, and the journal holds the very event that it ends at; otherwise all is folded again.
"""

from collections.abc import Callable
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from engine.desk import EMPTY, DeskState, Mode, fact_of, fold, state_from_json, state_to_json
from engine.errors import CredenceError
from engine.journal import START, Head, Kind
from engine.rules import Rules
from pipelines.journal_store import JournalReader
from pipelines.session.code_version import code_version
from pipelines.session.files import SessionFiles
from pipelines.session.process import read_json, write_json

_ALL_BUT_DECISIONS: Final = tuple(kind for kind in Kind if kind is not Kind.DECISION)


class Kept(NamedTuple):
    """A state, and the event it is the fold up to."""

    head: Head = START
    state: DeskState = EMPTY


def kept_beside(journal: Path) -> Path:
    """Where the last start kept what a journal folds to; may be deleted."""
    return journal.with_suffix(".state.json")


def fold_whole(journal: Path, rules: Rules, *, through: int) -> DeskState:
    """What a journal folds to from its first event to the one of this number."""
    return _fold(Kept(), journal, rules, through)


def folded(files: SessionFiles, mode: Mode, symbol: str, rules: Rules) -> DeskState:
    """What the desk knows, from its journal alone; the empty desk where there is none yet."""
    path = files.journal(mode, symbol)
    if not path.is_file():
        return EMPTY
    return _fold(read_kept(path, rules) or Kept(), path, rules)


def fold_and_keep(
    files: SessionFiles,
    mode: Mode,
    symbol: str,
    rules: Rules,
    *,
    head: Head,
    say: Callable[[str], None],
) -> DeskState:
    """`folded` by the one writer of a journal, whose head it is; kept for the next start.

    A shortcut that cannot be kept or does not count is said and costs time alone.
    """
    journal = files.journal(mode, symbol)
    kept, path = read_kept(journal, rules), kept_beside(journal)
    if kept is None and path.is_file():
        say(f"{path.name}: of other code or contracts, or damaged: the whole journal is folded")
    state = _fold(kept or Kept(), journal, rules, head.seq)
    try:
        if head != START:
            keep(Kept(head, state), journal, rules)
    except OSError as error:
        say(f"{path}: could not be kept ({error}); the next start folds more of the journal")
    return state


def keep(kept: Kept, journal: Path, rules: Rules) -> None:
    """Put a state beside its journal, in place of what is kept there."""
    plain: dict[str, object] = {
        **kept.head._asdict(),
        "made_by": _made_by(rules),
        "state": state_to_json(kept.state),
    }
    write_json(kept_beside(journal), {**plain, "seal": _seal(plain)})


def read_kept(journal: Path, rules: Rules) -> Kept | None:
    """What was kept, where it counts for this journal; null where all has to be folded."""
    plain = read_json(kept_beside(journal))
    if plain is None or plain.pop("seal", None) != _seal(plain):
        return None
    if plain.get("made_by") != _made_by(rules):
        return None
    head = Head(plain["seq"], plain["hash"])
    if not JournalReader(journal).has(head):
        return None
    try:
        return Kept(head, state_from_json(plain["state"]))
    except CredenceError:
        return None


def _fold(kept: Kept, journal: Path, rules: Rules, through: int | None = None) -> DeskState:
    """On from what was kept, to the event of this number or to the last one."""
    events = JournalReader(journal).events(after=kept.head.seq, kinds=_ALL_BUT_DECISIONS)
    if through is not None:
        events = takewhile(lambda event: event.seq <= through, events)
    return fold(map(fact_of, events), rules, kept.state)


def _made_by(rules: Rules) -> str:
    """The code and the contracts; under others the same facts may fold to another state."""
    return f"{code_version()} {rules.contracts_hash}"


def _seal(plain: dict[str, object]) -> str:
    """The hash over everything else in the file, the journal's own at that event among it."""
    return sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
