"""Settings: known names only, documented, and no secret ever shown."""

from pathlib import Path

import pytest

from engine.errors import SettingsError
from pipelines.settings import DEMO_MARK, Settings, load_settings, settings_lines, variable_of

URL = "tgram://123456:secret-token/987"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load_settings({"PATH": "/bin", "DAGSTER_HOME": "/x"})

    assert settings.home == Path("data")
    assert settings.symbol == "MES"
    assert settings.source == "generator:7"
    assert (settings.contracts, settings.alerts) == (None, ())


def test_settings_come_from_their_variables() -> None:
    settings = load_settings(
        {
            "CREDENCE_HOME": "/var/credence",
            "CREDENCE_CONTRACTS": "/etc/contracts",
            "CREDENCE_SYMBOL": "MNQ",
            "CREDENCE_SOURCE": "lean:bars",
            "CREDENCE_ALERTS": f"{URL} json://localhost",
        }
    )

    assert (settings.home, settings.contracts) == (Path("/var/credence"), Path("/etc/contracts"))
    assert (settings.symbol, settings.source) == ("MNQ", "lean:bars")
    assert [alert.get_secret_value() for alert in settings.alerts] == [URL, "json://localhost"]


def test_a_desk_at_interactive_brokers_never_takes_invented_bars_by_default() -> None:
    ibkr = {"CREDENCE_BROKER": "ibkr"}

    assert load_settings(ibkr).source == "ibkr"
    assert load_settings(ibkr | {"CREDENCE_SOURCE": "lean:bars"}).source == "lean:bars"


def test_a_demos_home_keeps_to_the_demos_source_unless_told_another(tmp_path: Path) -> None:
    (tmp_path / DEMO_MARK).write_text("lean:/bars")
    home = {"CREDENCE_HOME": str(tmp_path)}

    assert load_settings(home).source == "lean:/bars"
    assert load_settings({**home, "CREDENCE_SOURCE": "generator:3"}).source == "generator:3"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("CREDENCE_HOEM", "CREDENCE_HOME"), ("CREDENCE_SYMBOLS", "CREDENCE_SYMBOL")],
)
def test_a_misspelt_variable_is_an_error_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: no such setting; did you mean {nearest}"):
        load_settings({name: "x"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"CREDENCE_SYMBOL": ""}).symbol == "MES"


def test_a_value_out_of_range_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"CREDENCE_SYMBOL: .*pattern.*Instrument to trade"):
        load_settings({"CREDENCE_SYMBOL": "mes future"})


def test_every_setting_is_documented() -> None:
    lines = settings_lines(Settings())

    assert [line.name for line in lines] == [variable_of(name) for name in Settings.model_fields]
    for line in lines:
        assert len(line.meaning) > 20, line.name
        assert line.meaning.endswith("."), line.name


def test_the_lines_show_what_is_set() -> None:
    lines = {line.name: line for line in settings_lines(load_settings({"CREDENCE_HOME": "/x"}))}

    assert (lines["CREDENCE_HOME"].value, lines["CREDENCE_HOME"].is_set) == ("/x", True)
    assert (lines["CREDENCE_SYMBOL"].value, lines["CREDENCE_SYMBOL"].is_set) == ("MES", False)
    assert lines["CREDENCE_ALERTS"].value == "none"


def test_a_secret_is_never_shown() -> None:
    settings = load_settings({"CREDENCE_ALERTS": URL})

    shown = f"{settings} {settings!r} {settings_lines(settings)} {settings.model_dump_json()}"

    assert "secret-token" not in shown
    assert "**" in settings_lines(settings)[-1].value


def test_an_error_does_not_show_the_value() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"CREDENCE_SYMBOL": "a password pasted in the wrong place"})

    assert "password" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_name_like_no_setting_gets_no_guess() -> None:
    with pytest.raises(SettingsError, match="CREDENCE_FOO: no such setting; Known are"):
        load_settings({"CREDENCE_FOO": "1"})


def test_a_home_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "afile"
    file.touch()

    with pytest.raises(SettingsError, match=r"CREDENCE_HOME: expected a folder, .*afile is a file"):
        load_settings({"CREDENCE_HOME": str(file)})
