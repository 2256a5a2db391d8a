"""Writes `docs/biases.md`, the catalogue by family, from `contracts/biases.yaml`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from engine.biases import (
    BIAS_FAMILIES,
    Bias,
    BiasExpression,
    BiasModifier,
    BiasRules,
    NotExpressed,
    ShownBySignal,
)
from engine.signals import SIGNALS

_HEAD: Final = """# Biases

Written by `contracts.bias_page` from `contracts/biases.yaml`; a test holds this page equal to it.
What is documented of people and of markets, and what this desk makes of each: a signal that shows
it, a bounded change of theta (the score an entry has to reach), or *not expressed*, and why. A bias
shapes a decision; it never makes one.
"""

_SIDE_WORDS: Final = {
    "with": "entries in its direction",
    "against": "entries against it",
    "any": "entries of either side",
}


def biases_page(rules: BiasRules) -> str:
    """Markdown: how many are expressed how, by which signal, and one table per family."""
    return "\n".join(
        [
            _HEAD,
            *_counts(rules),
            *_by_signal(rules.catalogue),
            *(line for family in BIAS_FAMILIES for line in _family(family, rules.catalogue)),
        ]
    )


def _counts(rules: BiasRules) -> Iterator[str]:
    of_kind = Counter(type(bias.expression) for bias in rules.catalogue)
    yield (
        f"{len(rules.catalogue)} entries: {of_kind[ShownBySignal]} shown by a signal, "
        f"{of_kind[BiasModifier]} that change theta, {of_kind[NotExpressed]} not expressed. No "
        f"change of theta, and no sum of them on one bar, exceeds {rules.theta_abs_max:g} R.\n"
    )


def _by_signal(catalogue: Iterable[Bias]) -> Iterator[str]:
    by_name: dict[str, list[str]] = {}
    for bias in catalogue:
        if not isinstance(bias.expression, NotExpressed):
            mark = "**" if isinstance(bias.expression, BiasModifier) else ""
            by_name.setdefault(bias.expression.signal, []).append(f"{mark}{bias.id}{mark}")
    yield "## By signal\n\nBold: beyond a threshold of the signal the bias changes theta.\n"
    yield "| signal | biases |\n|---|---|"
    for signal in SIGNALS:
        if signal in by_name:
            yield f"| {_named(signal)} | {', '.join(by_name[signal])} |"
    yield ""


def _family(family: str, catalogue: Iterable[Bias]) -> Iterator[str]:
    yield f"## {family.capitalize()}\n"
    yield "| id | bias | mechanism | here | source |\n|---|---|---|---|---|"
    for bias in catalogue:
        if bias.family == family:
            cells = (bias.id, bias.name, bias.mechanism, _here(bias.expression), bias.source)
            yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _here(expression: BiasExpression) -> str:
    match expression:
        case ShownBySignal(signal=signal):
            return _named(signal)
        case BiasModifier():
            return (
                f"theta {expression.theta:+g} R where {_named(expression.signal)} is beyond "
                f"{expression.beyond:g}, for {_SIDE_WORDS[expression.side]}"
            )
        case NotExpressed(not_expressed=reason):
            return f"*not expressed*, {reason}"
    assert_never(expression)


def _named(signal: str) -> str:
    return f"S{SIGNALS[signal].number} `{signal}`"
