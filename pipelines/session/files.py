"""Where a desk keeps what outlives its process; whoever pulls a lever finds the same places."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from engine.modes import Mode
from pipelines.session.heartbeat import PLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFiles:
    """The files of session runs on one data home. The lock, levers and heartbeat are the home's.

    One desk trades on a home at a time; each mode and symbol has a journal of its own. A rehearsal
    that must not touch the desk's journal takes a home of its own.
    """

    home: Path

    def journal(self, mode: Mode, symbol: str) -> Path:
        """The one continuing journal of a mode and symbol."""
        return self.home / "journals" / "desk" / mode.value / f"{symbol}.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the process that may act for the desk; the system releases it when that ends."""
        return self.home / "session" / "lock"

    @property
    def holder(self) -> Path:
        """Who holds the lock, or held it last."""
        return self.home / "session" / "holder.json"

    @property
    def heartbeat(self) -> Path:
        """What the session run last said of itself."""
        return self.home / PLACE

    @property
    def levers(self) -> Path:
        """Commands of a person on their way to the run, and its answers."""
        return self.home / "session" / "levers"

    @property
    def kill_file(self) -> Path:
        """While this file exists the desk is killed; its text is the reason."""
        return self.home / "KILL"

    def checklist(self, session_date: date) -> Path:
        """The record of a day's deployment checklist."""
        return self.home / "checklist" / f"{session_date.isoformat()}.json"

    def bars(self, mode: Mode, symbol: str, session_date: date) -> Path:
        """Folder of what the broker told of the market in one session."""
        day = session_date.isoformat()
        return self.home / "session" / "bars" / mode.value / symbol / day

    def shadow(self, symbol: str) -> Path:
        """The simulated exchange of OBSERVE, as it stood."""
        return self.home / "session" / "shadow" / f"{symbol}.json"

    def exchange(self, symbol: str, session_date: date) -> Path:
        """The simulated exchange of a session that is played by hand, as it stood."""
        return self.home / "session" / "simulated" / f"{symbol}-{session_date.isoformat()}.json"
