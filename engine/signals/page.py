"""The page `docs/signals.md`, written from the metadata of the signals."""

from engine.signals.registry import (
    Companion,
    Signal,
    inputs_of,
    registered_companions,
    registered_signals,
)

_INTRODUCTION = """# Signals

Written by `engine.signals.signals_page()` from the code; a test holds this file equal to it.

Each signal is one causal Polars expression over the bars of a session and the scalars of its
context (`engine/context.py`). It restarts at the session's first bar and stays inside its range.
Null is allowed on the first *warm-up* bars of a session, and where a column it needs is null on
this bar or one of that many before it; nowhere else. A signal marked ± is bullish when positive.
ATR is Wilder's and includes the bar it stands on. Denominators are at least one tick, or one
contract.
"""


def signals_page() -> str:
    """Markdown: one section per signal by number, then the columns that come with them."""
    shown = [known for known in registered_companions() if not known.name.startswith("_")]
    return "\n".join(
        [
            _INTRODUCTION,
            *map(_section, registered_signals()),
            "## Columns beside the signals\n",
            *map(_beside, shown),
        ]
    )


def _section(signal: Signal) -> str:
    bounds = f"[{signal.low:g}, {signal.high:g}]".replace("-", "−")
    return (
        f"## S{signal.number} `{signal.name}`\n\n{signal.meaning}\n\n"
        f"{'± ' if signal.signed else ''}{bounds} · {signal.unit} · "
        f"warm-up {signal.lookback_bars} bars · needs {_listed(signal.name)}\n"
    )


def _beside(companion: Companion) -> str:
    return f"### `{companion.name}`\n\n{companion.meaning}\n\nNeeds {_listed(companion.name)}.\n"


def _listed(name: str) -> str:
    return ", ".join(f"`{need}`" for need in inputs_of(name)) or "the clock"
