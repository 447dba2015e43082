"""Every setting, once. Values come from the environment, then from ``.env`` in the working directory."""

from voice_app.settings.files import AgentSettings, TomlError, agent_settings, number_settings, read_toml
from voice_app.settings.loading import load, load_model_settings
from voice_app.settings.model import ModelSettings, ModelShape
from voice_app.settings.number import NUMBER_KEYS, LanguageSettings, NumberSettings
from voice_app.settings.problems import SettingsError, sentences, unknown_keys
from voice_app.settings.server import (
    SANDBOX_ACCOUNT_SID,
    SANDBOX_AUTH_TOKEN,
    SANDBOX_DOMAIN,
    Settings,
    environment_name,
)
from voice_app.settings.users import USER_NAME, Role, Users, hash_of_key, password_hasher, read_users
from voice_app.settings.values import E164, plain_address, webhook_key, zone_named

__all__ = [
    "E164",
    "NUMBER_KEYS",
    "SANDBOX_ACCOUNT_SID",
    "SANDBOX_AUTH_TOKEN",
    "SANDBOX_DOMAIN",
    "USER_NAME",
    "AgentSettings",
    "LanguageSettings",
    "ModelSettings",
    "ModelShape",
    "NumberSettings",
    "Role",
    "Settings",
    "SettingsError",
    "TomlError",
    "Users",
    "agent_settings",
    "environment_name",
    "hash_of_key",
    "load",
    "load_model_settings",
    "number_settings",
    "password_hasher",
    "plain_address",
    "read_toml",
    "read_users",
    "sentences",
    "unknown_keys",
    "webhook_key",
    "zone_named",
]
