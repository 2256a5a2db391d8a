"""The page `docs/signals.md`, written from the metadata of the signals."""

from collections.abc import Iterable

from engine.signals.registry import Companion, Signal

_INTRODUCTION = """# Signals

Written by `engine.signals.signals_page()` from the code; a test holds this file equal to it.

Each signal is one causal Polars expression over the bars of a session and the scalars of its
context (`engine/context.py`). It restarts at the session's first bar and stays inside its range.
Null is allowed on the first *warm-up* bars of a session, and where one of the columns it needs is
null; nowhere else. A signal marked ± is bullish when positive. ATR is Wilder's and includes the bar
it stands on. Denominators are at least one tick, or one contract.
"""


def signals_page(signals: Iterable[Signal], companions: Iterable[Companion]) -> str:
    """Markdown: one section per signal by number, then the columns that come with them."""
    parts = [_INTRODUCTION, *map(_section, signals), "## Columns beside the signals\n"]
    parts += [f"**`{known.name}`** — {known.meaning}\n" for known in companions]
    return "\n".join(parts)


def _section(signal: Signal) -> str:
    sign = "± " if signal.signed else ""
    bounds = f"[{signal.low:g}, {signal.high:g}]".replace("-", "−")
    needs = ", ".join(f"`{need}`" for need in signal.needs) or "the clock"
    return (
        f"## S{signal.number} `{signal.name}`\n\n{signal.meaning}\n\n"
        f"{sign}{bounds} · {signal.unit} · warm-up {signal.lookback_bars} bars · needs {needs}\n"
    )
