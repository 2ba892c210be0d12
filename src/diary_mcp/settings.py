"""Settings: environment variables, or command-line flags of the same name. Read once."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import NAME_PATTERN, NAME_RULE, AgentName, Label
from diary_mcp.embeddings.choice import EmbedderChoice, EmbedderKind
from diary_mcp.embeddings.model_files import MODEL_FILES, find_model
from diary_mcp.outgoing_http import is_this_machine
from diary_mcp.project import name_project

ENVIRONMENT_PREFIX = "DIARY_MCP_"
AUTO = "auto"
TOKEN_VARIABLE = f"{ENVIRONMENT_PREFIX}TOKEN"
"""The bearer token of whoever signs over HTTP: a secret, and so no flag."""
_OF_THE_PROJECT = tuple(f"{ENVIRONMENT_PREFIX}{word}_" for word in ("TEST", "CHAOS", "BENCHMARK"))

_HOST = r"(?:\[[^\]@]*\]|[^:,\[\]]*)(?::\d*)?"
_HOSTS = re.compile(f"{_HOST}(?:,{_HOST})*")
_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")
_NEEDS_MODEL: Mapping[EmbedderKind, str] = MappingProxyType(
    {
        "onnx": "the folder of a sentence transformer",
        "fastembed": "the name of one of its models",
        "openai": "the name of the endpoint's model",
    }
)
_NEEDS_PACKAGE: Mapping[EmbedderKind, str] = MappingProxyType(
    {"static": "wordllama", "fastembed": "fastembed"}
)


def _check_postgres_url(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "must be a URL such as postgresql://user:password@host:5432/database; leave it out "
            "for the embedded PostgreSQL"
        )
    head = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    user, _, hosts = head.rpartition("@")
    if "@" in user or not _HOSTS.fullmatch(hosts):
        # What follows would be taken for a host or a port, and told as one.
        raise ValueError(
            "cannot be divided into user, password, host and port: within a user or password "
            "write @ as %40, : as %3A, / as %2F and ? as %3F; a port is a number"
        )
    return url


def _check_http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be a URL such as http://127.0.0.1:4466")
    return url.rstrip("/")


def _check_keys_url(url: str) -> str:
    url = _check_http_url(url)
    host = urlsplit(url).hostname or ""
    if not url.startswith("https://") and not is_this_machine(host):
        raise ValueError(
            "must begin with https://: whoever can change the keys on their way can sign in as "
            "anybody. http:// is for this machine alone"
        )
    return url


def _check_name(name: AgentName) -> AgentName:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(f"{name!r} is not a valid agent name: {NAME_RULE}")
    return name


def _check_diary(text: str) -> str:
    parts = text.split("/")
    if len(parts) > 2 or not all(re.fullmatch(NAME_PATTERN, part) for part in parts):  # noqa: PLR2004
        raise ValueError(
            f"{text!r} is not a valid diary name: auto, NAME, or OWNER/NAME; {NAME_RULE}"
        )
    return text


def _keep_as_written(value: object) -> object:
    """A path with all that `Path` would drop: `./~/x` is no home, and a space may be a slip."""
    if not isinstance(value, str):
        return value
    if value != value.strip():
        raise ValueError(f"{value!r} begins or ends with white space; give the path without it")
    return os.path.abspath(value) if value.startswith(("./", "../")) else value  # noqa: PTH100  # `Path` drops `./`


def _expand(path: Path) -> Path:
    """As a shell would: what starts a server often hands on what is written, letter by letter."""
    try:
        expanded = Path(os.path.expandvars(path)).expanduser()
    except RuntimeError:
        expanded = path
    if expanded.parts[:1] and expanded.parts[0].startswith("~"):
        raise ValueError(f"there is no user {expanded.parts[0][1:]!r}; give the whole path")
    if unset := _VARIABLE.search(str(expanded)):
        raise ValueError(f"{unset.group()} is not set; give the whole path")
    return expanded.absolute()


FolderPath = Annotated[Path, BeforeValidator(_keep_as_written), AfterValidator(_expand)]
PostgresUrl = Annotated[str, AfterValidator(_check_postgres_url)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
KeysUrl = Annotated[str, AfterValidator(_check_keys_url)]


class Settings(BaseModel, frozen=True, extra="forbid", validate_default=True):
    """Where things are and who is calling; the environment says what is not given.

    Each is one word, so that this takes few lines. pydantic-settings reads more, and every server
    would have to import it before it answers, and keep it.
    """

    database_url: PostgresUrl | None = None
    data_dir: FolderPath = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("diary-mcp", appauthor=False)),
        validate_default=True,
    )
    keto_read_url: HttpUrl | None = None
    keto_write_url: HttpUrl | None = None
    embeddings: EmbedderKind = "default"
    embeddings_model: str | None = None
    embeddings_url: HttpUrl | None = None
    embeddings_api_key: SecretStr | None = None
    signing: Literal["on", "off"] = "on"
    secrets: Literal["refuse", "allow"] = "refuse"
    agent: Annotated[AgentName, AfterValidator(_check_name)] = AgentName("local")
    session: Label | None = None
    hook_question: Literal["on", "off"] = "on"
    hook_progress: Literal["on", "off"] = "off"
    diary: Annotated[str, AfterValidator(_check_diary)] | None = None

    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_jwks_url: KeysUrl | None = None
    jwt_agent_claim: str = "sub"

    @model_validator(mode="before")
    @classmethod
    def _add_environment(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        told = {name.lower(): value for name, value in os.environ.items() if value}
        variables = {name: f"{ENVIRONMENT_PREFIX}{name}".lower() for name in cls.model_fields}
        found = {name: told[each] for name, each in variables.items() if each in told}
        return {**found, **cast("dict[str, object]", given)}

    @model_validator(mode="after")
    def _check_issuer_is_whole(self) -> "Settings":
        told = (self.jwt_issuer, self.jwt_audience, self.jwt_jwks_url)
        if None in told and any(told):
            raise ValueError(
                "DIARY_MCP_JWT_ISSUER, DIARY_MCP_JWT_AUDIENCE and DIARY_MCP_JWT_JWKS_URL belong "
                "together: set all three to accept the issuer's tokens, or none"
            )
        return self

    @model_validator(mode="after")
    def _check_keto_is_whole(self) -> "Settings":
        if (self.keto_read_url is None) != (self.keto_write_url is None):
            raise ValueError(
                "DIARY_MCP_KETO_READ_URL and DIARY_MCP_KETO_WRITE_URL belong together: set both "
                "for an Ory Keto server, or neither for the embedded permission backend"
            )
        return self

    @field_validator("embeddings_model")
    @classmethod
    def _expand_model_folder(cls, model: str | None, info: ValidationInfo) -> str | None:
        is_folder = info.data.get("embeddings") == "onnx"
        return str(_expand(Path(model))) if model and is_folder else model

    @model_validator(mode="after")
    def _check_embeddings_are_whole(self) -> "Settings":
        kind, model = self.embeddings, self.embeddings_model
        if model is None and kind in _NEEDS_MODEL:
            raise ValueError(
                f"DIARY_MCP_EMBEDDINGS={kind} needs DIARY_MCP_EMBEDDINGS_MODEL: "
                f"{_NEEDS_MODEL[kind]}"
            )
        if kind == "openai" and self.embeddings_url is None:
            raise ValueError(
                "DIARY_MCP_EMBEDDINGS=openai needs DIARY_MCP_EMBEDDINGS_URL, such as "
                "http://127.0.0.1:11434/v1; /embeddings is added to it"
            )
        if kind == "onnx" and find_model(Path(str(model))) is None:
            raise ValueError(
                f"DIARY_MCP_EMBEDDINGS_MODEL: {model!r} is not a folder with one of "
                f"{', '.join(MODEL_FILES)}"
            )
        package = _NEEDS_PACKAGE.get(kind)
        if package is not None and find_spec(package) is None:
            raise ValueError(
                f"DIARY_MCP_EMBEDDINGS={kind} needs the package {package}: install "
                f"diary-mcp[{kind}]"
            )
        return self

    @property
    def embedder(self) -> EmbedderChoice:
        """The embedding model, as the settings together name it."""
        key = self.embeddings_api_key
        return EmbedderChoice(
            self.embeddings,
            model=self.embeddings_model or "",
            url=self.embeddings_url or "",
            api_key=None if key is None else key.get_secret_value(),
        )

    @property
    def current_diary(self) -> str | None:
        """The diary that calls are about which name none; `None` where there is no such."""
        return resolve_diary_name(self.diary, Path.cwd()) if self.diary else None

    @property
    def keto_urls(self) -> tuple[str, str] | None:
        """Read and write URL of the Keto server; `None` for the embedded backend."""
        if self.keto_read_url is None or self.keto_write_url is None:
            return None
        return self.keto_read_url, self.keto_write_url


def load_settings(**flags: str | Path | None) -> Settings:
    """The settings of this process; a flag that was given wins over the environment.

    Raises:
        InvalidArgumentError: names every setting that cannot be used, and why.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = [
            f"{_variable(details['loc'])}{details['msg'].removeprefix('Value error, ')}"
            for details in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidArgumentError("; ".join(problems)) from error


def resolve_diary_name(text: str, folder: Path) -> str:
    """What the setting names: `auto` is the project that `folder` is in."""
    return name_project(folder) if text == AUTO else text


def list_relative_folders(settings: Settings, data_dir: str | None = None) -> list[str]:
    """Settings that name a folder by where this process was started, each told.

    Clients start servers in folders of their own choice.

    Args:
        settings: what was made of them.
        data_dir: as the flag gives it.
    """
    given = {"DATA_DIR": data_dir or os.environ.get(f"{ENVIRONMENT_PREFIX}DATA_DIR")}
    used = {"DATA_DIR": str(settings.data_dir)}
    if settings.embeddings == "onnx":
        given["EMBEDDINGS_MODEL"] = os.environ.get(f"{ENVIRONMENT_PREFIX}EMBEDDINGS_MODEL")
        used["EMBEDDINGS_MODEL"] = str(settings.embeddings_model)
    return [
        f"{ENVIRONMENT_PREFIX}{name}={value} depends on the folder that this was started in: it is "
        f"{used[name]} now. Give the whole path."
        for name, value in given.items()
        if value and not str(value).startswith(("/", "~", "$")) and not Path(value).is_absolute()
    ]


def list_unknown_variables() -> list[str]:
    """Variables of this process's environment that look like settings and are none, each told.

    Those of the project's own tests and benchmarks are left out.
    """
    known = [f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in Settings.model_fields]
    known.append(TOKEN_VARIABLE)
    return [
        f"{name} is not a setting and is ignored; close to it: "
        f"{', '.join(get_close_matches(name, known, cutoff=0))}."
        for name in sorted(os.environ)
        if name.startswith(ENVIRONMENT_PREFIX)
        and name not in known
        and not name.startswith(_OF_THE_PROJECT)
    ]


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{ENVIRONMENT_PREFIX}{str(location[0]).upper()}: " if location else ""
