"""Conversations that a test opens at Twilio, as an agent's other programs may."""

from __future__ import annotations

from typing import Any

from voice_app.twilio import Conversation, TwilioApi


async def open_conversation(api: TwilioApi, configuration_id: str, **fields: Any) -> Conversation:
    """Open one; ``fields`` are those of the API. A 409 has the id of the one that owns its participants."""
    body = {"configurationId": configuration_id, **fields}
    reply = await api.request("POST", "conversations", "/v2/Conversations", body=body)
    return Conversation.read(reply.body)
