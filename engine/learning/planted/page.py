"""The page `docs/attribution.md`, written from the rules and from planted trades."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from engine.learning.attribution import Cause
from engine.learning.planted.confusion import APART, confusion
from engine.rules import Rules

TRADES: Final = 10_000
SEED: Final = 1

_HEAD: Final = """# Attribution

Written by `engine.learning.planted` from the rules and from planted trades; a test holds this page
equal to them.

Every trade gets one cause: the first of these that holds. What was wrong with our execution, the
data or the day comes before any lesson about the model. Every rule reads stored rows alone (trades,
quality, signals, beliefs, outcomes), and what is unknown never makes one hold. A position that no
decision opened is undetermined.

| asked | cause | holds when |
|---|---|---|
"""

_SCORES: Final = """
Beside the cause stand three scores. **Edge** is what the decision expected, in multiples of the
stop. **Luck** is the share of comparable outcomes (same template, similar belief, same regime) that
did worse; a win that nearly stopped is lucky whatever it paid. **Execution** starts at 1 and falls
with slippage beyond the expected, refused orders, orders filled in pieces and seconds without a
stop. What the single case says, the **learning weight**, is `(1 − 2 · |luck − 0.5|) × execution`.
Trust does not use it: luck is computed from the result, so the weight would bias what is judged.

The result itself is taken apart in `trades`: signal + timing + slippage − fees = net, exactly.
**Signal** is what the decisions would have earned at mid at once, **timing** what the market moved
between a decision and its fill, **slippage** what the fills gave away against the mid, or against
the stop's and the target's own price.

## How often the rules find what was planted

A planted trade is a way of price (a dip to the stop and back, a move that never came) and what was
done on it, not the numbers that the rules ask for; so a rule may be wrong about it, as it may be
about a real trade. Many also carry a decoy: a shock in our favour or after the exit, a data event
before the decision or after the exit, a refused order or slippage that turned nothing.

"""


def attribution_page(rules: Rules) -> str:
    """Markdown: the causes as they are asked, the scores, and the confusion table."""
    texts = _conditions(rules)
    asked = [
        f"| {number} | {cause.value} {cause.words} | {texts[cause]} |"
        for number, cause in enumerate(Cause, start=1)
    ]
    table = confusion(TRADES, SEED, rules)
    outside = ", ".join(f"{cause.value} ({cause.words})" for cause in APART)
    wrong = f"{Cause.WRONG_MODEL.value} ({Cause.WRONG_MODEL.words})"
    found = sum(table[name][row] for row, name in enumerate(table["truth"]))
    return "".join(
        [
            _HEAD,
            "\n".join(asked),
            "\n",
            _SCORES,
            f"Rows are what was planted ({TRADES:,} trades, seed {SEED}), columns what was ",
            "found.\n",
            f"{found / TRADES:.1%} were found as planted.\n\n",
            _markdown(table),
            f"\nNone of {outside} is ever taken for {wrong},\n",
            f"nor {Cause.WRONG_MODEL.value} for one of them; a test holds it on other seeds too.\n",
        ]
    )


def _markdown(table: pl.DataFrame) -> str:
    names = table.columns[1:]
    words = {cause.value: cause.words for cause in Cause}
    lines = [f"| planted | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for truth, *counts in table.iter_rows():
        shown = (
            f"**{n}**" if name == truth else str(n) for name, n in zip(names, counts, strict=True)
        )
        lines.append(f"| {truth} {words[truth]} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _conditions(rules: Rules) -> Mapping[Cause, str]:
    law, execution = rules.learning.attribution, rules.execution
    exit_belief = rules.strategies.thesis_belief_min
    return {
        Cause.EXECUTION_FAILURE: (
            f"slippage was more than {execution.slippage_surprise_multiple:g} × expected and the "
            "same trade at mid would have ended with the other sign; or an order was refused, or "
            f"no stop was alive for more than {execution.protect_within_seconds} s, and the same "
            "decision in `outcomes` ended with the other sign"
        ),
        Cause.DATA_QUALITY: (
            f"the decision's bar is stored with a DVS below {rules.constitution.dvs_entry_min:g}, "
            "or a bar of the trade has a data event"
        ),
        Cause.EVENT_SHOCK: "a shock bar of the trade closed against the position",
        Cause.EARNED_WIN: (
            "net result above zero; *lucky* if it was "
            f"{law.lucky_adverse_stops:g} × stop down before"
        ),
        Cause.REGIME_SHIFT: (
            "the regime at the exit is another one, and the effective belief was below "
            f"{exit_belief:g} at a close before the exit"
        ),
        Cause.NOISE_STOP: (
            f"stopped, and within {law.noise_bars} bars price reached the target without first "
            f"going {law.noise_further_stops:g} × stop further"
        ),
        Cause.WRONG_TIMING: (
            f"stopped, and within {law.timing_bars} bars price reached the target"
        ),
        Cause.WRONG_EXPRESSION: (
            f"a loss, though it had gained {law.expression_gain_stops:g} × stop, or another "
            "template's own stop and target won on that side from that bar"
        ),
        Cause.WRONG_MODEL: (
            f"a loss that never gained {law.wrong_gain_stops_below:g} × stop, with the belief at "
            f"{exit_belief:g} or more all along"
        ),
        Cause.UNDETERMINED: "the rest",
    }
