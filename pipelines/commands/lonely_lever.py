"""The desk that a lever acts for when no session does."""

from engine.calendar import Session
from engine.modes import Mode
from pipelines.commands.session import broker_of, session_to_trade
from pipelines.session.desk_process import latest_session
from pipelines.session.last_desk import last_mode
from pipelines.session.levers import LeverDesk
from pipelines.settings import Settings
from pipelines.wiring import Wiring


def desk_of(settings: Settings, mode: Mode | None, *, is_simulated: bool) -> LeverDesk:
    """The desk of a mode; without one that which was acted for last, or as the settings say."""
    wiring = Wiring(settings=settings)
    mode = mode or last_mode(wiring.session_files, settings.symbol) or wiring.mode
    wiring = Wiring(settings=settings.model_copy(update={"mode": mode.value}))
    session = _session(wiring, mode)
    return LeverDesk(
        files=wiring.session_files,
        rules=wiring.rules,
        mode=mode,
        session=session,
        broker=broker_of(wiring, session, is_simulated=is_simulated),
        live_account=settings.live_account,
    )


def _session(wiring: Wiring, mode: Mode) -> Session:
    """The session the journal was last in; else the one a session run would trade now."""
    day = latest_session(wiring.session_files, mode, wiring.settings.symbol)
    return session_to_trade(wiring, day)
