"""What happens at a gateway as lines for a person: who connects, orders, fills."""

from collections.abc import Callable
from typing import Final

from engine.units import Side
from pipelines.gateway.order_book import ClientOrder, Fill
from pipelines.gateway.times import LOGIN_ZONE
from pipelines.gateway.told import ErrorTold, FillTold, OrderTold, Told

BOUGHT: Final = {Side.LONG: "bought", Side.SHORT: "sold"}


class Chronicle:
    """Hears everything that is told, passes it on, and says the little that a person follows."""

    def __init__(self, listener: Callable[[Told], None], say: Callable[[str], None]) -> None:
        self._listener = listener
        self._say = say
        self._stood: dict[int, str] = {}

    def on_told(self, told: Told) -> None:
        self._listener(told)
        match told:
            case OrderTold():
                self._order(told.order)
            case FillTold():
                self._fill(told.fill)
            case ErrorTold():
                self._say(f"client {told.client_id} order {told.order_id}: {told.code} {told.text}")

    def _order(self, order: ClientOrder) -> None:
        """Say a status once, however often it is told."""
        stands = f"{order.status.value} {order.filled}/{order.quantity}"
        if self._stood.get(order.perm_id) != stands:
            self._stood[order.perm_id] = stands
            request = order.request
            price = request.limit if request.stop is None else request.stop
            at = "" if price is None else f" {price}"
            ref = f" {request.order_ref}" * bool(request.order_ref)
            self._say(
                f"client {order.client_id} order {order.order_id}{ref}: {request.action} "
                f"{order.quantity} {request.order_type}{at} is {stands}"
            )

    def _fill(self, fill: Fill) -> None:
        who = "another hand" if fill.order is None else f"client {fill.order.client_id}"
        at = fill.at.astimezone(LOGIN_ZONE)
        self._say(
            f"{at:%H:%M:%S} ET {who} {BOUGHT[fill.side]} {fill.quantity} at {fill.price} "
            f"({fill.execution_id})"
        )
