"""Settings from the environment: `CREDENCE_…`, validated once, documented, secrets masked."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from engine.errors import SettingsError

PREFIX: Final = "CREDENCE_"
DEMO_MARK: Final = ".credence-demo"
"""In the home of a demo: the source of its bars, so that nobody adds another market's to them. Only
a folder with this file in it is emptied for a new demo."""


def _listed(value: object) -> object:
    return value.split() if isinstance(value, str) else value


class Settings(BaseModel):
    """What the environment says. Each field is read from `CREDENCE_` and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default=Path("data"),
        description="Folder of everything that is stored: market tables, warehouse, journal.",
    )
    market: str | None = Field(
        default=None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]*(/[^/?#]+)*/?$",
        description="Bucket of the market tables, s3://BUCKET/PREFIX, if they are not in the home.",
    )
    contracts: Path | None = Field(
        default=None,
        description="Folder of the contract files, if not those the package ships with.",
    )
    symbol: str = Field(
        default="MES",
        pattern=r"^[A-Z][A-Z0-9]{0,9}$",
        description="Instrument to trade: a block of contracts/instrument.yaml.",
    )
    source: str = Field(
        default="generator:7",
        description="Where the scheduled ingest takes its bars from, as after `credence ingest`; "
        "ibkr with broker ibkr, unless set.",
    )
    sessions_per_run: int = Field(
        default=25,
        ge=1,
        le=1_000,
        description="Sessions in one run of a backfill on many machines (docs/many-machines.md).",
    )
    broker: Literal["gateway", "ibkr"] = Field(
        default="gateway",
        description="Whom a session trades with: the simulated IB Gateway, or Interactive Brokers.",
    )
    mode: Literal["observe", "paper", "live"] = Field(
        default="observe",
        description="What a session may do: watch, trade a paper account, or trade real money.",
    )
    live_account: str | None = Field(
        default=None,
        description="The one account that mode live may trade; without it live is refused.",
    )
    ibkr_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Where IB Gateway or TWS listens; it should be this machine.",
    )
    ibkr_port: int = Field(
        default=4002,
        ge=1,
        le=65_535,
        description="Its port: IB Gateway 4002 paper, 4001 live; TWS 7497 paper, 7496 live.",
    )
    ibkr_client_id: int = Field(
        default=1,
        ge=1,
        le=999_999,
        description="Our id at the gateway. Orders belong to it: keep it the same.",
    )
    ibkr_account: str = Field(
        default="",
        pattern=r"^[A-Z]{0,3}[0-9]*$",
        description="Account to trade, if the login has several; paper ones begin with DU.",
    )
    ibkr_library: Literal["ib_insync", "ib_async"] = Field(
        default="ib_insync",
        description="Client library that speaks to it; the one named must be installed.",
    )
    ibkr_clock: Literal["local", "told"] = Field(
        default="local",
        description="Whose time counts: local, or told for a simulated gateway at its own speed.",
    )
    alerts: Annotated[tuple[SecretStr, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="Where alerts go: apprise URLs separated by spaces. They hold passwords.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """One setting as `credence status --settings` shows it; a secret's value is masked."""

    name: str
    value: str
    default: str
    is_set: bool
    meaning: str


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables; raises `SettingsError` naming the variable.

    An unknown `CREDENCE_` variable is an error, because a misspelt one would silently do nothing.
    An empty one counts as not set. A demo's home keeps to the demo's source unless told another.
    """
    ours = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {variable_of(field) for field in Settings.model_fields}
    for name in sorted(set(ours) - known):
        words = {each.removeprefix(PREFIX): each for each in known}
        nearest = get_close_matches(name.removeprefix(PREFIX), sorted(words), n=1)
        meant = f"did you mean {words[nearest[0]]}? " if nearest else ""
        raise SettingsError(f"{name}: no such setting; {meant}Known are {', '.join(sorted(known))}")
    values = {name.removeprefix(PREFIX).lower(): value for name, value in ours.items() if value}
    mark = Path(values.get("home", Settings.model_fields["home"].default)) / DEMO_MARK
    if "source" not in values and mark.is_file() and (source := mark.read_text().strip()):
        values["source"] = source
    if values.get("broker") == "ibkr":  # Never invented bars under a real market's name.
        values.setdefault("source", "ibkr")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0])
        raise SettingsError(
            f"{variable_of(field)}: {first['msg']}; {Settings.model_fields[field].description}"
        ) from None  # The original shows the value, which may be a secret.
    if settings.home.is_file():
        raise SettingsError(
            f"CREDENCE_HOME: expected a folder, {settings.home} is a file; name a folder, it is "
            "made when it does not exist"
        )
    return settings


def variable_of(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def settings_lines(settings: Settings) -> list[SettingLine]:
    """Every setting with its value, default and meaning, in the order of the class."""
    return [
        SettingLine(
            name=variable_of(name),
            value=_shown(getattr(settings, name)),
            default=_shown(field.default),
            is_set=name in settings.model_fields_set,
            meaning=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)
