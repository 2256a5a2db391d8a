"""Writes every generated page of `docs/`: `python -m pipelines.documentation`.

A test holds each page equal to what this module makes, so a page cannot fall behind the code.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from contracts import load_rules
from contracts.bias_page import biases_page
from contracts.documentation import contracts_page, tables_page
from engine.learning.planted import attribution_page
from engine.signals import signals_page
from pipelines.cli import app
from pipelines.settings import Settings, settings_lines

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"

_CLI_HEAD: Final = """# Commands

Written by `pipelines.documentation` from the commands themselves; a test holds this page equal to
them. `credence` is the same as `python -m pipelines.cli`.

Exit codes: **0** done · **1** the answer is no, a check failed · **2** wrong usage or input, to be
corrected · **3** the outside world failed: disk, lock or broker · **130** stopped with Ctrl-C. An
error is one message on stderr that says what was expected, what came and what to do;
`credence --traceback COMMAND` shows where it arose as well. Answers go to stdout, progress to
stderr, and `--json` answers with one object whose keys stay.
"""

_SETTINGS_HEAD: Final = """# Settings

Written by `pipelines.documentation` from `pipelines/settings.py`; a test holds this page equal to
it. Settings are environment variables, read and checked once at the start. An unknown `CREDENCE_`
variable is refused, because a misspelt one would silently do nothing; an empty one counts as not
set. `credence status --settings` shows the values in force; secrets are never printed or stored.
"""


def cli_page() -> str:
    """Markdown: one section per command, with its arguments and options."""
    parts = [_CLI_HEAD]
    for name, command in commands_of(get_command(app)):
        parts.append(f"## `credence {name}`\n\n{command.help}\n")
        rows = list(_parameter_rows(command.params))
        parts.append("\n".join(["| | default | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def commands_of(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its words after `credence`, those of a command right behind it."""
    for name, command in vars(group)["commands"].items():
        yield f"{prefix}{name}", command
        if "commands" in vars(command):
            yield from commands_of(command, f"{prefix}{name} ")


def settings_page() -> str:
    """Markdown: one table of every setting."""
    rows = [
        f"| `{line.name}` | {line.default} | {line.meaning} |"
        for line in settings_lines(Settings())
    ]
    return "\n".join(
        [_SETTINGS_HEAD, "| variable | default | meaning |", "|---|---|---|", *rows, ""]
    )


@cache
def causes_page() -> str:
    """Markdown: why trades end as they do, and how often the rules find it; takes seconds, once."""
    return attribution_page(load_rules())


def catalogue_page() -> str:
    """Markdown: the biases by family, with what the desk makes of each."""
    return biases_page(load_rules().biases)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "contracts.md": contracts_page,
    "tables.md": tables_page,
    "signals.md": signals_page,
    "attribution.md": causes_page,
    "biases.md": catalogue_page,
    "cli.md": cli_page,
    "settings.md": settings_page,
}
"""Every generated page by its file in `docs/`."""


def write_pages(docs: Path = DOCS) -> list[Path]:
    """Write every page into a folder; returns those whose text changed."""
    changed = []
    for name, page in PAGES.items():
        path, text = docs / name, page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _parameter_rows(parameters: list[Any]) -> Iterator[str]:
    for each in parameters:
        is_argument = each.param_type_name == "argument"
        value = each.metavar or ""
        words = value if is_argument else f"{each.opts[0]} {'' if each.is_flag else value}".strip()
        default = "needed" if each.required else _default_text(each)
        yield f"| `{_escaped(words)}` | {default} | {_escaped(each.help)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _default_text(parameter: Any) -> str:
    default = parameter.default
    is_flag = getattr(parameter, "is_flag", False)
    return "" if default is None or is_flag else f"{getattr(default, 'value', default)}"


if __name__ == "__main__":
    for page in write_pages():
        print(f"wrote {page}")
