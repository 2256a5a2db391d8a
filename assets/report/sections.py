"""What each section of a session's page shows: rows with their words, ready to be set."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl

from assets.report.headline import reasons
from assets.report.model import SessionMaterial
from contracts.calendar import next_session
from engine.journal import Verified
from engine.kill import KillState
from engine.ladder import LAYER_NAMES, Reason
from engine.learning.reliability import Trust
from engine.rules import Rules
from engine.wording import PHRASES, clock_at, idea, side_name, usd

Row = Mapping[str, Any]

_PARTS: Final = ("signal", "timing", "slippage", "fees")


def trade_rows(told: SessionMaterial) -> list[Row]:
    """One row per round trip: what `trades` and `attribution` say, and its result taken apart."""
    return [
        {
            **row,
            "side_name": side_name(row["side"]),
            "opened": clock_at(row["opened_at"], told.rules),
            "closed": clock_at(row["closed_at"], told.rules),
            "exit": (row["exit_kind"] or "an unknown order").replace("_", " "),
            "parts": _parts(row),
        }
        for row in told.trades.sort("trade_number").iter_rows(named=True)
    ]


def _parts(row: Row) -> list[Row]:
    """Signal, timing, slippage and fees in US dollars; they sum to the net result."""
    amounts = {name: row[f"{name}_usd"] for name in _PARTS}
    amounts["fees"] = -amounts["fees"]
    parts = [*amounts.items(), ("net", row["net_usd"])]
    widest = max(abs(amount) for _, amount in parts) or 1
    return [
        {"name": name, "usd": amount, "share": float(amount / widest)} for name, amount in parts
    ]


def reason_rows(told: SessionMaterial) -> list[Row]:
    """How many bars each reason was the first no of, most first, with its layer of the ladder."""
    counted = reasons(told)
    total, most = counted["bars"].sum(), counted["bars"].max()
    return [
        {
            "reason": reason,
            "words": PHRASES[Reason(reason)],
            "layer": LAYER_NAMES[layer],
            "bars": bars,
            "of_all": bars / total,
            "share": bars / most,
        }
        for reason, layer, bars in counted.select("reason", "layer", "bars").rows()
    ]


def veto_rows(told: SessionMaterial) -> list[Row]:
    """Per reason what its refusals saved or cost, the most saved first; `share` of the widest."""
    grouped = told.refused.group_by("reason").agg(
        pl.col("setups", "wins", "net_r").sum(),
        templates=pl.col("template").sort(),
    )
    rows = grouped.sort("net_r", "reason").to_dicts()
    widest = max((abs(row["net_r"]) for row in rows), default=0.0) or 1.0
    return [
        {
            **row,
            "words": PHRASES[Reason(row["reason"])],
            "templates": ", ".join(row["templates"]),
            "share": -row["net_r"] / widest,
        }
        for row in rows
    ]


def template_rows(told: SessionMaterial) -> list[Row]:
    """How far each template is trusted from now on, and by which results."""
    return template_rows_of(told.rows["learning_state"], told.rules)


def template_rows_of(state: pl.DataFrame, rules: Rules) -> list[Row]:
    """The same of any learning state; empty if it is."""
    own = state.filter(pl.col("trust").is_not_null()).sort("template")
    names = {block.id: block.name for block in rules.strategies.templates}
    return [
        {**row, "name": idea(names[row["template"]]), "tomorrow": allowance(row)}
        for row in own.iter_rows(named=True)
    ]


def allowance(row: Row) -> str:
    """What a template's trust allows in the next session."""
    if row["is_quarantined"]:
        return "may not enter; trades in shadow"
    if row["modifier"] > 1.0:
        return f"may enter, pays {row['modifier']:g} times its cost"
    return "may enter"


TRUST_WORDS: Final[Mapping[str, str]] = {
    Trust.ACTIVE.value: "active",
    Trust.THROTTLED.value: "throttled",
    Trust.THROTTLED_HARD.value: "throttled hard",
    Trust.QUARANTINED.value: "in quarantine",
    Trust.PROBATION.value: "on probation",
}


def change_rows(told: SessionMaterial) -> list[str]:
    """Every change of trust this night, with the numbers that caused it."""
    return [row["change"] for row in template_rows(told) if row["change"]]


def no_longer_allowed(told: SessionMaterial) -> list[str]:
    """What the desk may not do in the next session, or only for less."""
    found = []
    if told.limit_halt is not None:
        span = told.limit_halt
        found.append(
            f"Enter before the {span} is over: its loss limit is used. The halt ends by itself."
        )
    elif told.desk_state_now is not KillState.RUNNING:
        found.append(
            f"Enter at all: the desk is {told.desk_state_now.value} until a person resumes it."
        )
    for row in template_rows(told):
        if row["is_quarantined"]:
            found.append(
                f"{row['template']} ({row['name']}): in quarantine for "
                f"{(row['trigger'] or '').replace('_', ' ')}."
            )
        elif row["modifier"] > 1.0:
            found.append(
                f"{row['template']} ({row['name']}): only where its edge pays "
                f"{row['modifier']:g} times its cost ({TRUST_WORDS[row['trust']]})."
            )
    return [*found, *_budgets(told)]


def _budgets(told: SessionMaterial) -> list[str]:
    """Loss limits that the next session starts with less of."""
    return [
        f"Lose more than {usd(left)} this {span}: {usd(limit - left)} of {usd(limit)} is gone."
        for span, left, limit in _left_to_lose(told)
        if left < limit
    ]


def _left_to_lose(told: SessionMaterial) -> list[tuple[str, Decimal, Decimal]]:
    """Of the week and the month of the next session: what may still be lost, and the limit.

    Empty for a session without a decision: nothing then says what is gone.
    """
    following, law = _next_date(told), told.rules.constitution
    found = []
    for span, limit, is_same in (
        (
            "week",
            law.loss_usd_per_week_max,
            following.isocalendar()[:2] == told.day.isocalendar()[:2],
        ),
        (
            "month",
            law.loss_usd_per_month_max,
            following.replace(day=1) == told.day.replace(day=1),
        ),
    ):
        net = (told.own_gates.get(f"net_usd_this_{span}") or [None])[0]
        if net is not None:
            lost = max(-Decimal(str(net)), Decimal(0)) if is_same else Decimal(0)
            found.append((span, max(limit - lost, Decimal(0)), limit))
    return found


def money_left(told: SessionMaterial) -> str:
    """What the next session may lose; empty where nothing says what is gone."""
    spans = _left_to_lose(told)
    if not spans:
        return ""
    day = told.rules.constitution.loss_usd_per_day_max
    least = min(day, *(left for _, left, _ in spans))
    rest = ", ".join(f"of the {span} {usd(left)} of {usd(limit)}" for span, left, limit in spans)
    return (
        f"The next session, {_next_date(told)}, may lose {usd(least)}: a day may lose {usd(day)}, "
        f"and there is left {rest}."
    )


def _next_date(told: SessionMaterial) -> date:
    return next_session(told.day, told.rules.session).session_date


DESK_WORDS: Final[Mapping[KillState, str]] = {
    KillState.RUNNING: "free to trade",
    KillState.HALTED: "halted: no entries",
    KillState.KILLED: "killed: locked until a person resumes it",
}
"""What the kill switch let the desk do when the session was over."""


def calibration_rows(told: SessionMaterial) -> list[Row]:
    """One row per template and side: what was said, what came, and whether a map was earned."""
    whole = (
        told.rows["calibration"].filter(bin=0).sort("template", "side", descending=[False, True])
    )
    needed = told.rules.learning.calibration.sessions_min
    return [
        {**row, "side_name": side_name(row["side"]), "map": _map_word(row, needed)}
        for row in whole.iter_rows(named=True)
    ]


def _map_word(row: Row, sessions_min: int) -> str:
    if row["is_map_earned"]:
        return "earned: it gives p_win from the next session on"
    if row["sessions"] < 2 * sessions_min:  # Of so many one half is fitted, the other ahead.
        return f"too early: {row['sessions']} sessions, {2 * sessions_min} are needed"
    ahead, base = row["brier_map_ahead"], row["brier_base_ahead"]
    return f"not earned: ahead {ahead:.3f}, base {base:.3f}"


def check_rows(told: SessionMaterial) -> Sequence[Row]:
    """What must hold of the books, each with its evidence."""
    rows, decided = told.rows["trades"], told.rows["decisions"]
    parts = pl.col("signal_usd") + pl.col("timing_usd") + pl.col("slippage_usd")
    exact = rows.filter(parts - pl.col("fees_usd") == pl.col("net_usd")).height
    chain = told.chain
    return [
        {
            "name": "journal chain",
            "holds": isinstance(chain, Verified),
            "evidence": f"{len(told.events)} events of the session, whole to the journal's end"
            if isinstance(chain, Verified)
            else f"broken at event {chain.seq}: {chain.text}",
        },
        {
            "name": "ledger equals broker"
            if told.ledger.accepted is None
            else "ledger and broker differ as was accepted",
            "holds": told.ledger.is_settled,
            "evidence": told.ledger.text,
        },
        {
            "name": "results add up",
            "holds": exact == rows.height,
            "evidence": f"signal, timing, slippage and fees of {exact} of {rows.height} trades sum "
            "to the net result",
        },
        {
            "name": "a decision per bar",
            "holds": decided.height == told.frame.height,
            "evidence": f"{decided.height} decisions on {told.frame.height} stored bars",
        },
    ]
