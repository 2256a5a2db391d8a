"""Generated pages: equal to the code, complete, and nothing left undocumented."""

from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.cli import app
from pipelines.documentation import DOCS, PAGES, cli_page, commands_of, settings_page, write_pages
from pipelines.settings import Settings, variable_of


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_says(name: str) -> None:
    stored = (DOCS / name).read_text(encoding="utf-8")

    assert stored == PAGES[name](), "run: python -m pipelines.documentation"


def test_every_page_that_says_it_is_generated_is(tmp_path: Path) -> None:
    claiming = {
        path.name for path in DOCS.glob("*.md") if "\nWritten by `" in path.read_text("utf-8")
    }

    assert claiming == set(PAGES)


def test_every_command_and_every_option_says_what_it_does() -> None:
    page = cli_page()

    commands = list(commands_of(get_command(app)))
    assert {"replay", "gateway", "gateway fault"} <= {name for name, _ in commands}
    for name, command in commands:
        assert f"## `credence {name}`" in page
        assert command.help
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"
            assert parameter.help.replace("|", "\\|") in page


def test_every_setting_says_what_it_does() -> None:
    page = settings_page()

    for name, field in Settings.model_fields.items():
        assert f"`{variable_of(name)}`" in page
        assert field.description is not None
        assert field.description in page


def test_writing_pages_again_changes_nothing(tmp_path: Path) -> None:
    written = write_pages(tmp_path)

    again = write_pages(tmp_path)

    assert {path.name for path in written} == set(PAGES)
    assert again == []
