"""What a session run says of itself while it lives, in one small file."""

import logging
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipelines.session.process import is_running, life_of, read_json, write_json

PLACE: Final = Path("session") / "heartbeat.json"
"""Where it is under a data home; who only asks for it need not load the desk."""

_LOG: Final = logging.getLogger(__name__)


class RunState(StrEnum):
    """Where the run is in its life; one that is waiting has not reached its broker yet."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CLOSED = "closed"
    STOPPED = "stopped"
    FAILED = "failed"


UNDER_WAY: Final = frozenset(
    {RunState.WAITING, RunState.STARTING, RunState.RUNNING, RunState.STOPPING}
)
"""States of a run whose process should be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The run and the desk at one instant; instants are ISO text, null is unknown or none.

    `at` is wall time, `market_now` the broker's. `position` is signed contracts, `decision` the
    sentence of the last closed bar, `feed` what the market data is worth. `pid` and `life` name the
    process.
    """

    at: str
    pid: int
    life: str
    run: RunState
    mode: str
    symbol: str
    session_date: str
    account_id: str
    market_now: str | None
    desk: str
    desk_text: str
    is_flat_verified: bool
    position: int
    trade: str | None
    last_bar_at: str | None
    decision: str | None
    feed: str | None
    is_connected: bool
    bars: int
    text: str

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote this still runs."""
        return is_running(self.pid, self.life)

    @property
    def age_seconds(self) -> float:
        return (datetime.now(UTC) - datetime.fromisoformat(self.at)).total_seconds()

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Heartbeat | None":
        """What a run said last; null when none ever ran here, or one of another version did."""
        plain = read_json(path)
        if plain is None:
            return None
        try:
            return cls(**{**plain, "run": RunState(plain["run"])})
        except (KeyError, TypeError, ValueError) as error:
            _LOG.warning("%s: expected a heartbeat of this version, taken as none: %r", path, error)
            return None


def unread(path: Path) -> str | None:
    """Why nobody can tell what a run said last; null where it can be read, or none ever ran."""
    if not path.is_file() or Heartbeat.read(path) is not None:
        return None
    return (
        f"{path}: expected a heartbeat of this version, got another: nobody sees whether its "
        "session run lives; look at the account, and end that run before one of this version"
    )


def signature() -> dict[str, object]:
    """Who writes, and when."""
    return {"at": datetime.now(UTC).isoformat(), "pid": os.getpid(), "life": life_of(os.getpid())}
