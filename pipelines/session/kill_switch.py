"""Whether a desk is killed: by what its journal says, or by the file KILL. Loads no library."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from engine.canonical import Reader
from engine.journal import Kind
from engine.kill import FlatVerified, KillCause, KillChanged, KillState, KillSwitch, apply_change
from pipelines.journal_store import JournalReader

_FACTS: Final = Reader(KillChanged, FlatVerified)


def kill_switch_of(journal: JournalReader) -> KillSwitch:
    """The kill switch as the journal's events leave it; the same as in the desk's own fold."""
    switch = KillSwitch()
    for event in journal.events(kinds=(Kind.KILL,)):
        fact = _FACTS.from_json(event.payload, at=datetime.fromisoformat(event.at))
        if isinstance(fact, KillChanged):
            switch = apply_change(switch, fact)
        else:
            switch = replace(switch, is_flat_verified=True)
    return switch


def or_killed_by(switch: KillSwitch, kill_file: Path) -> KillSwitch:
    """The switch, or a kill while the file KILL is there: whoever acts for the desk obeys it."""
    if switch.is_killed or not kill_file.exists():
        return switch
    text = f"the file {kill_file} is there"
    return KillSwitch(state=KillState.KILLED, cause=KillCause.PERSON, text=text)
