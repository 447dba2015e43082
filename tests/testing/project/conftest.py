import pytest


@pytest.fixture
def voice_app_settings():
    return {"agent": "an_agent:agent", "greeting": "Hello!"}
