"""Contract contents with one thing changed, and the paths of everything in them."""

import copy
from collections.abc import Callable

from contracts.reading import Plain, read_contracts

Contents = dict[str, dict[str, Plain]]
Steps = tuple[str | int, ...]

CONTENTS = read_contracts()


def _one_bias_of_each_kind() -> None:
    """Leaves three biases: what is refused of one is refused of all, and each of them is slow."""
    catalogue = CONTENTS["biases"]["catalogue"]
    assert isinstance(catalogue, list)
    of_kind: dict[tuple[str, ...], Plain] = {}
    for bias in catalogue:
        assert isinstance(bias, dict)
        assert isinstance(bias["expression"], dict)
        of_kind.setdefault(tuple(bias["expression"]), bias)
    CONTENTS["biases"]["catalogue"] = list(of_kind.values())


_one_bias_of_each_kind()


def with_value(path: Steps, value: Plain) -> Contents:
    """The contents with another value at `path`; the first step is the file."""
    contents = copy.deepcopy(CONTENTS)
    _parent(contents, path)[path[-1]] = value
    return contents


def without(path: Steps) -> Contents:
    """The contents without the key at `path`."""
    contents = copy.deepcopy(CONTENTS)
    del _parent(contents, path)[path[-1]]
    return contents


def value_at(path: Steps) -> Plain:
    return _parent(CONTENTS, path)[path[-1]]


def _parent(contents: Contents, path: Steps):  # type: ignore[no-untyped-def]
    node = contents
    for step in path[:-1]:
        node = node[step]  # type: ignore[index]
    return node


def paths(keep: Callable[[Plain], bool]) -> list[Steps]:
    """Paths of all values that satisfy `keep`, in all files."""

    def walk(value: Plain, path: Steps) -> list[Steps]:
        found = [path] if path and keep(value) else []
        if isinstance(value, dict):
            children = list(value.items())
        elif isinstance(value, list):
            children = list(enumerate(value))
        else:
            children = []
        for step, child in children:
            found += walk(child, (*path, step))
        return found

    return walk(CONTENTS, ())
