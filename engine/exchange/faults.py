"""What can go wrong between the desk and the exchange, by seed and rate, and on which link.

Faults bend what is told and when, and which commands get through; the exchange's books stay right.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from engine.broker import (
    BrokerReport,
    BrokerSnapshot,
    CommissionReported,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
)
from engine.errors import InputRefused


class FaultKind(StrEnum):
    """One way in which a broker misbehaves."""

    DELAYED = "delayed"
    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    LATE_COMMISSION = "late_commission"
    PARTIAL_FILL = "partial_fill"
    REJECT = "reject"
    FILL_AFTER_CANCEL = "fill_after_cancel"
    CANCEL_UNANSWERED = "cancel_unanswered"
    ALIEN_POSITION = "alien_position"
    QUERY_TIMEOUT = "query_timeout"
    DISCONNECT = "disconnect"
    DISCONNECT_BEFORE_SEND = "disconnect_before_send"
    DISCONNECT_AFTER_SEND = "disconnect_after_send"
    DISCONNECT_MID_FILL = "disconnect_mid_fill"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Probability of each fault at every opportunity, and how long delays and outages last."""

    rates: Mapping[FaultKind, float] = field(default_factory=dict)
    delay_seconds: int = 20
    outage_seconds: int = 45


NO_FAULTS: Final = FaultPlan()


def chance(seed: int, *key: object) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the key."""
    digest = blake2b("/".join(map(str, (seed, *key))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Faults:
    """The dice: one seeded draw per opportunity of a fault that is switched on."""

    def __init__(self, plan: FaultPlan, seed: int, draws: int = 0) -> None:
        self.plan = plan
        self.seed = seed
        self.draws = draws
        self.rates: dict[FaultKind, float] = {}
        for kind, rate in plan.rates.items():
            self.switch(kind, rate)

    def switch(self, kind: FaultKind, rate: float) -> None:
        """Set one fault's rate from now on; 0 switches it off, 1 makes it certain."""
        if not 0.0 <= rate <= 1.0:
            raise InputRefused(f"fault {kind.value}: expected a rate from 0 to 1, got {rate}")
        if rate:
            self.rates[kind] = rate
        else:
            self.rates.pop(kind, None)

    def strikes(self, kind: FaultKind) -> bool:
        rate = self.rates.get(kind)
        return rate is not None and self._draw(kind) < rate

    def part_of(self, quantity: int) -> int:
        """How much of a fill happens at once: all of it, unless a partial fill strikes."""
        if quantity < 2 or not self.strikes(FaultKind.PARTIAL_FILL):
            return quantity
        return 1 + int(self._draw(FaultKind.PARTIAL_FILL) * (quantity - 1))

    def _draw(self, kind: FaultKind) -> float:
        self.draws += 1
        return chance(self.seed, kind.value, self.draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A report that is on its way and arrives no earlier than `due_at`."""

    due_at: datetime
    report: BrokerReport


@dataclass(slots=True, kw_only=True)
class ReportLink:
    """The wire from the exchange to the desk: true reports go in, what arrives comes out."""

    faults: Faults
    is_up: bool = True
    up_again_at: datetime | None = None
    pending: list[Pending] = field(default_factory=list)

    def drop(self, at: datetime, *, until: datetime | None = None) -> ConnectionReported:
        """Cut the link: what was on its way is lost. It stays down until told, or until `until`."""
        self.is_up = False
        self.up_again_at = until
        self.pending.clear()
        return ConnectionReported(at=at, state=ConnectionState.DOWN)

    def drop_by_fault(self, at: datetime) -> ConnectionReported:
        return self.drop(at, until=at + timedelta(seconds=self.faults.plan.outage_seconds))

    def restore(self, at: datetime) -> ConnectionReported:
        """Connect again. Nothing missed is sent again: the desk has to ask."""
        self.is_up = True
        self.up_again_at = None
        return ConnectionReported(at=at, state=ConnectionState.UP)

    def tell_later(self, report: BrokerReport) -> None:
        """Deliver a report with the next thing that is told."""
        self.pending.append(Pending(due_at=report.at, report=report))

    def pass_on(self, reports: Sequence[BrokerReport], now: datetime) -> list[BrokerReport]:
        """What is heard at `now`: what became due, then the given reports as faults left them."""
        arrived: list[BrokerReport] = []
        since: datetime | None = None
        if self.pending:
            arrived += [p.report for p in self.pending if p.due_at <= now]
            self.pending = [p for p in self.pending if p.due_at > now]
        if not self.is_up and self.up_again_at is not None and now >= self.up_again_at:
            since = self.up_again_at
            arrived.append(self.restore(since))
        if not self.is_up or not reports:
            return arrived
        heard = reports if since is None else [r for r in reports if r.at >= since]
        return arrived + (self._bend(heard) if self.faults.rates else list(heard))

    def _bend(self, reports: Iterable[BrokerReport]) -> list[BrokerReport]:
        faults, told, overtaken = self.faults, list[BrokerReport](), list[BrokerReport]()
        for report in reports:
            if isinstance(report, BrokerSnapshot | ConnectionReported):
                told.append(report)
            elif faults.strikes(FaultKind.LOST):
                continue
            elif self._is_late(report):
                delay = timedelta(seconds=faults.plan.delay_seconds)
                self.pending.append(Pending(due_at=report.at + delay, report=report))
            elif faults.strikes(FaultKind.REORDERED):
                overtaken.append(report)
            else:
                told += [report] * (2 if faults.strikes(FaultKind.DUPLICATED) else 1)
            if isinstance(report, ExecutionReported) and faults.strikes(
                FaultKind.DISCONNECT_MID_FILL
            ):
                return [*told, *overtaken, self.drop_by_fault(report.at)]
        return told + overtaken

    def _is_late(self, report: BrokerReport) -> bool:
        late_fee = isinstance(report, CommissionReported) and self.faults.strikes(
            FaultKind.LATE_COMMISSION
        )
        return late_fee or self.faults.strikes(FaultKind.DELAYED)
