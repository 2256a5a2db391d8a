"""One session of the desk with most of what can happen to it."""

from decimal import Decimal

from desk_stage import PRICE, Stage, account, at, fill, row, snapshot, told

from engine.broker import CommissionReported, ConnectionReported, ConnectionState, OrderEvent
from engine.desk import SessionClosed
from engine.units import Side


def eventful() -> Stage:
    """A session with most of what can happen, ending in a kill and a resume."""
    stage = Stage()
    stage.open_session()
    stage.tell(row(39), row(40, dvs=0.7))
    bracket = stage.hold(41)
    stage.tell(row(42, PRICE + 9), row(43, PRICE + 6))
    stage.tell(fill(bracket.stop_ref, Side.SHORT, PRICE + 3, 44.5, name="x.2.01"))
    stage.tell(
        told(bracket.target_ref, OrderEvent.CANCELLED, 44.5),
        CommissionReported(at=at(44.6), execution_id="x.1.01", commission_usd=Decimal("0.6")),
        account("4999.50", "4999.50", 44.7),
        ConnectionReported(at=at(60), state=ConnectionState.DOWN),
        ConnectionReported(at=at(61), state=ConnectionState.UP),
        snapshot(61.1, executions=stage.state.ledger.executions),
        *(row(minute) for minute in range(62, 330)),
    )
    second = stage.enter(330, -1)
    stage.tell(told(second.stop_ref, OrderEvent.CANCELLED, 331.2))
    stage.tell(fill(second.entry_ref, Side.SHORT, PRICE, 331.3, name="x.3.01"))
    stage.tick(331.5)
    stage.tick(331.9)
    stage.tell(SessionClosed(at=at(395), position=-1, equity_usd=Decimal(5000)))
    return stage
