"""What was traded, once per execution, and what it cost: the one source of quantity and price."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property

from engine.broker import ExecutionReported
from engine.units import OrderRef


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What was traded in this session, once per execution, and what it cost.

    `carried` is a position that no execution of this session explains: held over, or adopted from
    the broker, whose word wins. Executions are named less their revision: `counted` are those whose
    result is in the day's, `settled` those of the session before, which the broker may tell again
    and which have no part in this one. Without slots, to keep the position: it is asked for far
    more often than it changes.
    """

    executions: tuple[ExecutionReported, ...] = ()
    commissions_usd: Mapping[str, Decimal] = field(default_factory=dict)
    carried: int = 0
    counted: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()

    @cached_property
    def position(self) -> int:
        """Signed contracts held, as far as we have heard."""
        held = self.carried
        for fill in self.executions:
            held += fill.side * fill.quantity
        return held

    def knows(self, execution: ExecutionReported) -> bool:
        """Whether this execution, or a later correction of it, is already booked."""
        base, revision = _identity(execution.execution_id)
        return base in self.settled or any(
            known_base == base and known_revision >= revision
            for known_base, known_revision in map(
                _identity, (fill.execution_id for fill in self.executions)
            )
        )

    def with_execution(self, execution: ExecutionReported) -> "Ledger":
        """The ledger with one more execution; a correction takes the place of what it corrects."""
        if self.knows(execution):
            return self
        base, _ = _identity(execution.execution_id)
        kept = tuple(f for f in self.executions if _identity(f.execution_id)[0] != base)
        return replace(self, executions=(*kept, execution))

    def corrected_by(self, execution: ExecutionReported) -> tuple[ExecutionReported, ...]:
        """The booked execution whose place another word on it takes; empty for a new one."""
        base, _ = _identity(execution.execution_id)
        return tuple([f for f in self.executions if _identity(f.execution_id)[0] == base])

    def settled_up(self) -> "Ledger":
        """The empty ledger of the next session, which knows the executions of this one."""
        return Ledger(settled=frozenset(_identity(f.execution_id)[0] for f in self.executions))

    def with_commission(self, execution_id: str, usd: Decimal) -> "Ledger":
        """The ledger with what the broker charged for one execution."""
        return replace(self, commissions_usd={**self.commissions_usd, execution_id: usd})

    def with_counted(self, execution_ids: Iterable[str]) -> "Ledger":
        """The ledger once the result of these executions is in the day's."""
        return replace(self, counted=self.counted.union(_identity(i)[0] for i in execution_ids))

    def is_counted(self, execution_id: str) -> bool:
        """Whether the result of an execution, or of what it corrects, is in the day's."""
        return _identity(execution_id)[0] in self.counted

    @property
    def uncounted(self) -> tuple[ExecutionReported, ...]:
        """Executions whose result is in no closed trade's and in nothing else that was counted."""
        return tuple([fill for fill in self.executions if not self.is_counted(fill.execution_id)])

    def fills_of(self, refs: Iterable[OrderRef]) -> tuple[ExecutionReported, ...]:
        """Executions of these orders, in the order they were heard of."""
        if not self.executions:
            return ()
        wanted = set(refs)
        return tuple([fill for fill in self.executions if fill.ref in wanted])

    def commission_usd(self, fill: ExecutionReported) -> Decimal | None:
        """What was charged for a fill; null until it is reported.

        A correction without a report of its own keeps the commission of what it corrects.
        """
        known = self.commissions_usd
        if fill.execution_id in known:
            return known[fill.execution_id]
        base, revision = _identity(fill.execution_id)
        earlier = [
            (known_revision, usd)
            for (known_base, known_revision), usd in (
                (_identity(execution_id), usd) for execution_id, usd in known.items()
            )
            if known_base == base and known_revision < revision
        ]
        return max(earlier)[1] if earlier else None

    def fees_usd(self, fills: Iterable[ExecutionReported], per_side_usd: Decimal) -> Decimal:
        """Reported commissions of these fills; the contract's fees where none is reported yet."""
        total = Decimal(0)
        for fill in fills:
            charged = self.commission_usd(fill)
            total += per_side_usd * fill.quantity if charged is None else charged
        return total


def lots_of(fills: Iterable[ExecutionReported]) -> int:
    """Signed contracts that these executions leave open."""
    return sum(fill.side * fill.quantity for fill in fills)


def flow_ticks_of(fills: Iterable[ExecutionReported]) -> int:
    """Contracts times ticks received for what was sold, less those paid for what was bought."""
    return -sum(fill.side * fill.quantity * fill.price_ticks for fill in fills)


def _identity(execution_id: str) -> tuple[str, int]:
    """`("0000e0d5.1", 2)` of `"0000e0d5.1.02"`: what was executed, and its revision."""
    base, _, revision = execution_id.rpartition(".")
    return (base, int(revision)) if base and revision.isdigit() else (execution_id, 0)
