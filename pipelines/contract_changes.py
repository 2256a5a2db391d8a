"""When contracts may change: not under a session, and not before what was traded has taught.

A night judges its session by the contracts of the day on which it is done.
"""

from datetime import date

from assets.standings import untaught_before
from engine.errors import InputRefused, SessionBusy
from pipelines.session.heartbeat import UNDER_WAY, Heartbeat
from pipelines.session.lock import holder_text, is_held
from pipelines.wiring import Wiring


def refuse_while_needed(wiring: Wiring, what: str) -> None:
    """Raises where the contracts of this desk are still needed as they are; `what` would change
    them.

    `SessionBusy` while a session is alive, `InputRefused` naming the first session that was traded
    and has no whole night.
    """
    files = wiring.session_files
    beat = Heartbeat.read(files.heartbeat)
    is_under_way = beat is not None and beat.run in UNDER_WAY and beat.is_alive
    if is_held(files) or is_under_way:
        raise SessionBusy(
            f"{what}: expected no session, {holder_text(files)} acts for this desk under the "
            "contracts as they are; let it end, run credence learn, then this again"
        )
    traded = wiring.session_journals.traded_dates()
    if not traded:
        return
    untaught = untaught_before(wiring.warehouse, date.max, wiring.rules, traded=traded)
    if untaught:
        raise InputRefused(
            f"{what}: expected the night of every session that was traded, whole, found none of "
            f"{untaught[0]}, or half of it: it would be judged by contracts that it was not "
            f"decided under; once it is over run credence learn --from {untaught[0]}, then this "
            "again"
        )
