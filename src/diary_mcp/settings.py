"""Settings: environment variables, or command-line flags of the same name. Read once."""

from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import NAME_PATTERN, AgentName

ENVIRONMENT_PREFIX = "DIARY_MCP_"


def _check_postgres_url(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "must be a URL such as postgresql://user:password@host:5432/database; leave it out "
            "for the embedded PostgreSQL"
        )
    return url


def _check_http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must be a URL such as http://127.0.0.1:4466")
    return url.rstrip("/")


PostgresUrl = Annotated[str, AfterValidator(_check_postgres_url)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]


class Settings(BaseSettings):
    """Where things are and who is calling."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    database_url: PostgresUrl | None = None
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("diary-mcp", appauthor=False))
    )
    keto_read_url: HttpUrl | None = None
    keto_write_url: HttpUrl | None = None
    embeddings: Literal["default", "none"] = "default"
    agent: Annotated[AgentName, StringConstraints(pattern=rf"^{NAME_PATTERN}$")] = AgentName(
        "local"
    )

    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_jwks_url: HttpUrl | None = None
    jwt_agent_claim: str = "sub"

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
        return Settings.model_validate(Settings(**given))  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        problems = [
            f"{_variable(details['loc'])}{details['msg'].removeprefix('Value error, ')}"
            for details in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidArgumentError("; ".join(problems)) from error


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{ENVIRONMENT_PREFIX}{str(location[0]).upper()}: " if location else ""
