"""What has to hold for a flattening on its way to the broker."""

from typing import Final, NamedTuple

from engine.broker import BrokerSnapshot, FlattenPosition, Leg
from engine.supervisor import read_ref
from pipelines.campaign.law import Law


class FlatteningAsked(NamedTuple):
    """A flattening that is about to be sent, and the exchange's own books at that instant."""

    command: FlattenPosition
    truth: BrokerSnapshot


def flattening_is_alone(asked: FlatteningAsked) -> str | None:
    """No earlier flattening still works: both could fill, and turn the position around."""
    working = [order.ref for order in asked.truth.working if _is_flattening(order.ref)]
    return f"{asked.command.ref} beside {', '.join(map(str, working))}" if working else None


def _is_flattening(ref: str | None) -> bool:
    own = read_ref(ref)
    return own is not None and own[1] is Leg.FLATTEN


FLATTENING_LAWS: Final[tuple[Law[FlatteningAsked], ...]] = (flattening_is_alone,)
