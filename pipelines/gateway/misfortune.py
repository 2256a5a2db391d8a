"""Carries out the faults that a person, a plan or a test asks for."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from engine.errors import InputRefused
from engine.exchange import FaultKind
from engine.units import Side
from pipelines.gateway.faults import FAULTS, Fault, FaultChange
from pipelines.gateway.notices import FARMS_BROKEN, FARMS_OK
from pipelines.gateway.server import GatewayServer
from pipelines.gateway.venue import Venue

DELAY_SECONDS: Final = 20.0
WARNING_CODE: Final = 399
FAR_TICKS: Final = 200

_FLAGS: Final[Mapping[Fault, str]] = {
    Fault.DISCONNECT_BEFORE_SEND: "cuts_before_order",
    Fault.DISCONNECT_AFTER_SEND: "cuts_after_order",
    Fault.DISCONNECT_MID_FILL: "cuts_at_fill",
    Fault.REJECT: "rejects_orders",
    Fault.DUPLICATE_STATUS: "duplicates_status",
    Fault.LOST_STATUS: "loses_status",
    Fault.NO_COMMISSION: "withholds_commission",
    Fault.CLIENT_ID_IN_USE: "client_id_in_use",
    Fault.COMPETING_SESSION: "competing_session",
    Fault.STALL_BARS: "stalls_bars",
    Fault.DELAYED_DATA: "delays_data",
    Fault.NO_DATA_RIGHTS: "has_no_data_rights",
    Fault.READ_ONLY: "is_read_only",
    Fault.CANCEL_UNANSWERED: "cancels_unanswered",
}
"""Faults that are one switch of `Switches`."""

_EXCHANGE_KINDS: Final[Mapping[Fault, FaultKind]] = {
    Fault.PARTIAL: FaultKind.PARTIAL_FILL,
    Fault.FILL_AFTER_CANCEL: FaultKind.FILL_AFTER_CANCEL,
}
"""Faults that are the exchange's own, with a rate."""

_FARMS: Final[Mapping[Fault, tuple[int, int]]] = {
    Fault.DATA_FARM_BROKEN: (2103, 2104),
    Fault.HISTORY_FARM_BROKEN: (2105, 2106),
    Fault.CONTRACT_FARM_BROKEN: (2157, 2158),
}
"""The notices that a farm is gone, and that it is back."""

_RESTORES: Final = (Fault.RESTORED_DATA_LOST, Fault.RESTORED_DATA_KEPT)


class Misfortune:
    """Turns the faults of one gateway on and off; to be used inside its event loop."""

    def __init__(self, venue: Venue, server: GatewayServer) -> None:
        self._venue = venue
        self._server = server
        self._margin_usd = venue.margin_usd
        self._others_on: dict[Fault, bool] = {}

    @property
    def on(self) -> list[Fault]:
        """The faults that are on; one that happens once, or has cut what it was to cut, is not."""
        switches = self._venue.switches
        flags = {fault: bool(getattr(switches, name)) for fault, name in _FLAGS.items()}
        is_on = {**self._others_on, **flags}
        return [fault for fault in Fault if is_on.get(fault, False)]

    def change(self, change: FaultChange) -> None:
        """Carry out one change at once; raises `InputRefused` where the market is not ready."""
        fault, is_on = change.fault, change.is_on
        if fault in _FLAGS:
            setattr(self._venue.switches, _FLAGS[fault], is_on)
        elif fault in _EXCHANGE_KINDS:
            rate = 1.0 if change.rate is None else change.rate
            self._venue.exchange.switch(_EXCHANGE_KINDS[fault], rate if is_on else 0.0)
        elif fault in _FARMS:
            broken, restored = _FARMS[fault]
            if fault is Fault.CONTRACT_FARM_BROKEN:
                self._venue.switches.lists_no_contracts = is_on
            code = broken if is_on else restored
            self._server.broadcast(code, {**FARMS_BROKEN, **FARMS_OK}[code])
        else:
            self._others(change)[fault]()
        self._others_on[fault] = is_on and not FAULTS[fault].is_once
        if fault in _RESTORES:
            self._others_on[Fault.CONNECTIVITY_LOST] = False

    def _others(self, change: FaultChange) -> Mapping[Fault, Callable[[], None]]:
        venue, server, is_on = self._venue, self._server, change.is_on
        switches = venue.switches
        seconds = (change.seconds or DELAY_SECONDS) if is_on else 0.0

        def warn() -> None:
            switches.warns_with_code = (change.code or WARNING_CODE) if is_on else None

        def delay_answers() -> None:
            switches.late_ack_seconds = seconds

        def delay_commissions() -> None:
            switches.late_commission_seconds = seconds

        return {
            Fault.DISCONNECT: server.disconnect,
            Fault.CONNECTIVITY_LOST: (
                server.lose_connectivity
                if is_on
                else lambda: server.restore_connectivity(data_lost=False)
            ),
            Fault.RESTORED_DATA_LOST: lambda: server.restore_connectivity(data_lost=True),
            Fault.RESTORED_DATA_KEPT: lambda: server.restore_connectivity(data_lost=False),
            Fault.FREEZE: server.freeze if is_on else server.thaw,
            Fault.WARNING: warn,
            Fault.LATE_ACK: delay_answers,
            Fault.LATE_COMMISSION: delay_commissions,
            Fault.MARGIN_CALL: lambda: self._call_margin(is_on=is_on),
            Fault.FOREIGN_POSITION: lambda: self._trade(change.quantity or 1),
            Fault.UNKNOWN_ORDER: self._place,
        }

    def _call_margin(self, *, is_on: bool) -> None:
        account = self._venue.exchange.account(self._venue.market.now())
        raised = max(Decimal(1), account.equity_usd or Decimal(0)) * 2
        self._venue.set_margin(raised if is_on else self._margin_usd)

    def _trade(self, quantity: int) -> None:
        side = Side.LONG if quantity > 0 else Side.SHORT
        self._venue.trade_by_hand(side, abs(quantity), self._price())

    def _place(self) -> None:
        """A buy order far below the market, which nobody of the API placed."""
        self._server.desk.place_by_hand(Side.LONG, 1, self._price() - FAR_TICKS)

    def _price(self) -> int:
        price = self._venue.mark_ticks
        if price is None:
            raise InputRefused(
                "gateway: expected a price to trade at, none was told yet; "
                "ask again once the market moves"
            )
        return price
