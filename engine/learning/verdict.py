"""One sentence per trade that a person understands without knowing the codes."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.wording import result, side_name, times

Row = Mapping[str, Any]


def verdict(row: Row) -> str:
    """What the trade came to, why, and how lucky it was: of a row with trade, cause and scores."""
    came = result(row["net_usd"])
    if row["decision_id"] is None:
        return (
            f"A {side_name(row['side'])} position that no decision opened {came}; find out who "
            "traded, the desk learns nothing from it."
        )
    why = _WHY[row["cause"]](row)
    return (
        f"{row['template']} {side_name(row['side'])} {came} ({row['net_r']:+.2f} R): "
        f"{row['cause_name']}. {why} {_luck(row)}"
    )


def _ticks(distance: float) -> str:
    return "1 tick" if round(distance) == 1 else f"{distance:.0f} ticks"


def _execution(row: Row) -> str:
    found = []
    if row["worst_slippage_ticks"] > row["expected_slippage_ticks"]:
        found.append(
            f"it slipped {row['worst_slippage_ticks']:.1f} ticks where "
            f"{row['expected_slippage_ticks']:.1f} were expected"
        )
    if row["rejects"]:
        was = "was" if row["rejects"] == 1 else "were"
        found.append(f"{row['rejects']} of its orders {was} refused")
    if row["unprotected_seconds"] > 1:
        found.append(f"it had no stop for {row['unprotected_seconds']:.0f} s")
    otherwise = "lost" if row["net_usd"] > 0 else "won"
    said = " and ".join(found)
    return f"{said[0].upper()}{said[1:]}; as planned it would have {otherwise}."


def _data(row: Row) -> str:
    if row["data_events"]:
        return (
            f"{times(row['data_events'], 'bar')} of it carried a data fault, so it proves nothing."
        )
    return f"Its bar is worth a data score of only {row['stored_dvs']:.2f}, so it proves nothing."


def _win(row: Row) -> str:
    if row["is_lucky"]:
        return f"But it was {row['mae_ticks']:.0f} of {row['stop_ticks']} stop ticks down first."
    if not row["mae_ticks"]:
        return "It was never a tick down."
    return f"It was never more than {row['mae_ticks']:.0f} of {row['stop_ticks']} stop ticks down."


def _shift(row: Row) -> str:
    return (
        f"The market turned from {row['regime']} to {row['regime_at_exit']} and the belief fell to "
        f"{row['belief_least']:.3f} before the exit."
    )


def _expression(row: Row) -> str:
    if row["mfe_ticks"] >= row["stop_ticks"]:
        return (
            f"The side was right: {row['mfe_ticks']:.0f} ticks up, a whole stop of "
            f"{row['stop_ticks']}, and then given back."
        )
    return f"The side was right: {row['rival_template']}'s stop and target would have won."


def _undetermined(row: Row) -> str:
    return (
        f"It ended by {str(row['exit_kind']).replace('_', ' ')} after "
        f"{times(row['bars_held'], 'bar')}, at best {row['mfe_ticks']:.0f} ticks up, "
        "and no cause stands out."
    )


_WHY: Final[Mapping[str, Callable[[Row], str]]] = {
    "A8": _execution,
    "A7": _data,
    "A6": lambda _: "A shock bar went against it, which no belief foresees.",
    "A0": _win,
    "A5": _shift,
    "A3": lambda row: (
        f"The target came {times(row['bars_to_target'], 'bar')} after the stop, without a stop's "
        "further loss."
    ),
    "A2": lambda row: (
        f"The target came {times(row['bars_to_target'], 'bar')} after the stop: too early."
    ),
    "A4": _expression,
    "A1": lambda row: (
        f"It never gained more than {_ticks(row['mfe_ticks'])}, and the belief stayed at "
        f"{row['belief_least']:.2f} or more all along."
    ),
    "A9": _undetermined,
}


def _luck(row: Row) -> str:
    if row["luck"] is None:
        return "Too little is known to say how lucky that was."
    return (
        f"The result is better than {row['luck']:.0%} of such cases, "
        f"execution {row['execution']:.2f}."
    )
