"""The settings of the agent `chat`: its model, where that is, and how long it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from voice_app.settings.environment import PREFIX, EnvironmentSource
from voice_app.settings.values import words

SOURCES: Final = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", populate_by_name=True)
ModelShape = Literal[
    "no-tools", "no-system", "no-empty-content", "no-extras", "no-stream", "no-temperature",
    "short-ids", "plain-schemas", "max-tokens", "max-completion-tokens", "thinks-first", "no-usage",
]  # fmt: skip
"""How the requests to a model's endpoint are changed for it: see `voice_app.agents.shapes`."""


class ModelSettings(BaseSettings):
    """The settings of the agent `chat`, which can be read without the others."""

    model_config = SOURCES

    model: str | None = Field(None, description="the model of the agent `chat`")
    openai_base_url: str = Field(
        "https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        description="the endpoint of the agent `chat`, OpenAI's or a compatible one",
    )
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY", description="its key")
    model_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="further headers for the endpoint (JSON), e.g. an `api-key`"
    )
    model_shape: Annotated[tuple[ModelShape, ...], NoDecode] = Field(
        (), description="what the endpoint does not take, separated by commas, e.g. no-system, short-ids"
    )
    model_price: Annotated[tuple[float, ...], NoDecode] = Field(
        (),
        description="what a million tokens cost: those sent, those that come back, and those sent that were "
        "cached, separated by commas; the metric of the cost needs it",
    )
    fallback_model: str | None = Field(None, description="the model to ask when the first one fails")
    fallback_base_url: str | None = Field(None, description="where it is; empty: at the same endpoint")
    fallback_api_key: SecretStr | None = Field(None, description="its key, if it is another one")
    fallback_shape: Annotated[tuple[ModelShape, ...], NoDecode] = Field(
        (), description="what its endpoint does not take"
    )
    fallback_price: Annotated[tuple[float, ...], NoDecode] = Field((), description="what its tokens cost")
    prompt: Path | None = Field(None, description="file with the instructions of the agent `chat`")
    temperature: float | None = Field(None, ge=0, le=2, description="how inventive the model is")
    max_tokens: int | None = Field(None, ge=1, description="the most tokens of one answer")
    first_token_seconds: float = Field(
        8, gt=0, le=60, description="how long the model may take to its first word; thoughts are none"
    )
    between_tokens_seconds: float = Field(
        5, gt=0, le=60, description="how long it may take between two signs of life: words or thoughts"
    )
    rehearse_model: str | None = Field(
        None, description="the model that plays callers, and judges calls, for `voice-app rehearse`"
    )
    rehearse_judge_model: str | None = Field(None, description="the model that judges, if it is another one")
    rehearse_base_url: str | None = Field(
        None, description="where they are; empty: at the endpoint of the agent `chat`"
    )
    rehearse_api_key: SecretStr | None = Field(None, description="their key, if it is another one")
    after_tool_line: str = Field(
        "Thank you for waiting. What else can I do for you?",
        description="what is said when a tool has acted and the model finds no words; it claims nothing",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then the environment with ``.env`` behind it."""
        return init_settings, EnvironmentSource(settings_cls)

    @field_validator("model_price", "fallback_price")
    @classmethod
    def _two_prices_or_three(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value and (len(value) not in (2, 3) or min(value) < 0):
            raise ValueError("it should look like 0.40,1.60 or 0.40,1.60,0.10")
        return value

    @field_validator("model_shape", "fallback_shape", "model_price", "fallback_price", mode="before")
    @classmethod
    def _shapes(cls, value: object) -> object:
        return words(value)
