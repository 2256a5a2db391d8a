"""The first minute of a run: connect, prove the authority, open, reconcile, catch up with bars."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from assets.prior_sessions import lacking_prior
from engine.broker import (
    ConnectionReported,
    ConnectionState,
    FeedReported,
    FeedState,
    LiveBroker,
)
from engine.desk import SessionOpened
from engine.errors import InputRefused, RetryLater
from engine.rules import Rules
from pipelines.session.authority import require_authority
from pipelines.session.bars import SessionBars
from pipelines.session.code_version import code_version
from pipelines.session.dealing import Dealing
from pipelines.session.desk_process import closed_at
from pipelines.session.files import SessionFiles
from pipelines.session.plan import SessionPlan

ATTEMPTS_MAX: Final = 3
CATCHING_UP: Final = "bars that were missed are being caught up"

EARLY: Final = timedelta(hours=24)
LATE: Final = timedelta(hours=1)
"""How far the broker's time may be from the session; farther off it is another day's run."""


def refuse_closed(plan: SessionPlan, files: SessionFiles, rules: Rules) -> None:
    """Raise `InputRefused` for a session that was closed, before anybody is asked for anything."""
    session, symbol = plan.session, rules.instrument.symbol
    closed = closed_at(files, plan.mode, symbol, session.session_date)
    if closed is not None:
        raise InputRefused(
            f"{files.journal(plan.mode, symbol)}: session {session.session_date} was closed at "
            f"{closed:%Y-%m-%d %H:%M} UTC; expected one that is not over"
        )


def refuse_older_context(
    plan: SessionPlan, known_of: date | None, say: Callable[[str], None], *, is_exposed: bool
) -> None:
    """Raise `InputRefused` when the context does not know the session right before the plan's.

    A rehearsal is told of it and goes on; so does a run with a position or orders to look after.
    """
    lacking = lacking_prior(known_of, plan.session)
    if lacking is None:
        return
    message = f"the context knows {known_of or 'no session'}, expected {lacking}"
    if not (plan.is_rehearsal or is_exposed):
        raise InputRefused(f"session {plan.session.session_date}: {message}")
    say(message)


def is_worth_waiting(plan: SessionPlan, now: datetime) -> bool:
    """Whether a broker that is out of reach may still come back for this session."""
    return plan.session.opens_at - EARLY <= now < plan.session.closes_at


def admit(plan: SessionPlan, files: SessionFiles, rules: Rules, broker: LiveBroker) -> None:
    """Refuse a broker that may not be traded at, or whose time is not the session's.

    Raises `NotAuthorised` or `InputRefused` before anything is sent.
    """
    require_authority(
        plan.mode,
        broker.account_id,
        session_date=plan.session.session_date,
        symbol=rules.instrument.symbol,
        code=code_version(),
        contracts_hash=rules.contracts_hash,
        consent=plan.consent,
        files=files,
    )
    _require_time(broker.now(), plan)


def _require_time(now: datetime, plan: SessionPlan) -> None:
    session = plan.session
    if not session.opens_at - EARLY <= now <= session.closes_at + LATE:
        raise InputRefused(
            f"session {session.session_date} is from {session.opens_at:%Y-%m-%d %H:%M} to "
            f"{session.closes_at:%H:%M} UTC, but the broker's time is {now:%Y-%m-%d %H:%M} UTC; "
            "give the date of the session that is to be traded"
        )


def open_session(dealing: Dealing, plan: SessionPlan, symbol: str) -> None:
    """Open the session in the journal and compare with the broker, before anything else.

    Until the bars are caught up the feed counts as stale. Raises the broker's error when it cannot
    be asked: a desk that does not know where it stands does not start.
    """
    session, opened_at = plan.session, dealing.broker.now()
    dealing.tell(
        FeedReported(at=opened_at, state=FeedState.STALE, text=CATCHING_UP),
        SessionOpened(
            at=opened_at,
            session_date=session.session_date,
            symbol=symbol,
            opens_at=session.opens_at,
            closes_at=session.closes_at,
            mode=plan.mode,
            standings=plan.standings,
        ),
    )
    if dealing.state.down_since is not None:
        up = ConnectionReported(at=opened_at, state=ConnectionState.UP, text="a new run")
        dealing.tell(up)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        compared_at = dealing.state.reconciled_at
        if compared_at is not None and compared_at >= opened_at:
            return
        try:
            dealing.take_stock()
        except RetryLater:
            if attempt == ATTEMPTS_MAX:
                raise


def catch_up(
    dealing: Dealing, bars: SessionBars, plan: SessionPlan, symbol: str, say: Callable[[str], None]
) -> None:
    """Subscribe, then ask for the minutes since the open: decided, recorded, never entered late."""
    broker, session = dealing.broker, plan.session
    broker.subscribe(symbol)
    if broker.now() > session.opens_at:
        try:
            bars.add(broker.bars(symbol, session.opens_at))
        except RetryLater as error:
            say(f"the minutes since the open could not be had: {error}")
    if bars.frame.height:
        dealing.close_bars(bars.frame)
        bars.settle(bars.frame["closes_at"].to_list())
    broker.caught_up()
