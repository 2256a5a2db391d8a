"""What a person sees: tables and bars on a terminal, plain text in a pipe, or one JSON object.

Answers go to stdout; progress, notes and errors go to stderr, so an answer can be piped.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol, Self

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS: Final = 160
"""Width of plain output, where no terminal says how wide it is."""

YES: Final = Text("yes", style="green")
NO: Final = Text("NO", style="bold red")


class Advance(Protocol):
    """Called after each step of a task with what was done, and how many steps it has if new."""

    def __call__(self, last: str, *, total: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Screen:
    """The two streams of a command."""

    out: Console
    err: Console

    @classmethod
    def of_process(cls) -> Self:
        """The process's own stdout and stderr, as they are now."""
        return cls(_console(stderr=False), _console(stderr=True))

    def say(self, text: str = "") -> None:
        """One line of the answer; rich markup is understood."""
        self.out.print(text, highlight=False)

    def line(self, text: str, *, style: str = "") -> None:
        """One line of the answer, taken literally."""
        self.out.print(Text(text, style=style), highlight=False)

    def note(self, text: str) -> None:
        """A line beside the answer, such as where something was written."""
        self.err.print(Text(text, style="dim"), highlight=False)

    def fail(self, text: str) -> None:
        """The one message of a command that failed."""
        self.err.print(Text.assemble(("error: ", "bold red"), text), highlight=False)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        numbers: Sequence[str] = (),
    ) -> None:
        """A table; the columns named in `numbers` are set to the right."""
        shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
        for column in columns:
            is_number = column in numbers
            shown.add_column(column, justify="right" if is_number else "left", no_wrap=is_number)
        for row in rows:
            shown.add_row(*(cell_text(cell) for cell in row))
        self.out.print(shown)

    def json(self, answer: Mapping[str, Any]) -> None:
        """The answer as one JSON object; money is text, so that no cent is lost."""
        text = orjson.dumps(answer, option=orjson.OPT_INDENT_2, default=_plain)
        self.out.file.write(text.decode() + "\n")

    @contextmanager
    def progress(self, title: str, total: int | None) -> Iterator[Advance]:
        """A progress bar on a terminal's stderr; silent elsewhere."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[last]}"),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
            disable=not self.err.is_terminal,
        )
        with bar:
            task = bar.add_task(title, total=total, last="")

            def advance(last: str, *, total: int | None = None) -> None:
                bar.update(task, advance=1, last=last, total=total)

            yield advance


def cell_text(value: object) -> Text:
    """How a value is set in a cell, literally unless it is styled already; null is a dash."""
    match value:
        case Text():
            return value
        case None:
            return Text("–")
        case bool():
            return YES if value else NO
        case int():
            return Text(f"{value:,}")
        case float():
            return Text(f"{value:.3f}" if abs(value) < 1 else f"{value:,.2f}")
        case _:
            return Text(str(value))


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_COLUMNS
    return Console(file=stream, width=width, soft_wrap=not stream.isatty())


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON form of {type(value).__name__}")
