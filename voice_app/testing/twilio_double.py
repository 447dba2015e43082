"""Twilio's APIs as a test sees them: what is remembered, what was written, and what fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_app.sandbox.twilio import Fault, SandboxAccount
from voice_app.sandbox.twilio.memory_store import add_profile, remember, with_identifier
from voice_app.sandbox.twilio.records import Json, StoredMemory, StoredProfile


@dataclass(slots=True, frozen=True, eq=False)
class TwilioDouble:
    """The account of a line. ``account`` has all of it, to be read and changed."""

    account: SandboxAccount
    configuration_id: str
    """The Orchestrator configuration that the line's calls are written to."""

    @property
    def configuration(self) -> Json:
        """It, as the API shows it; changes count from the next request on."""
        return self.account.configurations[self.configuration_id]

    @property
    def memory(self) -> StoredMemory:
        """The store of what is known of callers."""
        return self.account.stores[self.configuration["memoryStoreId"]]

    def remembers(self, number: str, *facts: str, **traits: str) -> StoredProfile:
        """Whoever calls from ``number`` is known: facts of earlier calls, traits such as ``firstName``."""
        store = self.memory
        known = with_identifier(store, "phone", number)
        profile = store.profiles[known[0]] if known else add_profile(self.account, store, {})
        group, name = store.identifiers["phone"]
        contact = profile.traits.setdefault(group, {})
        contact |= {name: number, **traits}
        for fact in facts:
            remember(self.account, profile, {"content": fact, "source": "test"})
        return profile

    def known(self, number: str) -> list[str]:
        """What is remembered of whoever calls from ``number``: the observations, oldest first."""
        store = self.memory
        profiles = [store.profiles[found] for found in with_identifier(store, "phone", number)]
        return [str(item["content"]) for profile in profiles for item in profile.observations.values()]

    def conversation(self, call_sid: str) -> list[str]:
        """What was written of a call, in order: ``CUSTOMER: Where is order 81?``."""
        lines: list[str] = []
        for conversation in self.account.conversations.values():
            places = [
                address.get("channelId")
                for participant in conversation.participants.values()
                for address in participant.get("addresses", [])
            ]
            if call_sid in places:
                types = {key: str(value.get("type")) for key, value in conversation.participants.items()}
                lines += [_spoken(types, said) for said in conversation.communications.values()]
        return lines

    def fails(
        self, path: str = "*", status: int = 503, *, times: int | None = None, delay: float = 0
    ) -> None:
        """Requests for a path (a shell pattern, product included: ``/memory/*``) are answered with an error.

        ``times`` is how many of them; None means all. ``delay`` is in seconds of the call.
        """
        self.account.faults.add(Fault(path=path, status=status, times=times, delay=delay))


def _spoken(types: dict[str, str], said: dict[str, Any]) -> str:
    author = types.get(str(said.get("author", {}).get("participantId")), "")
    return f"{author}: {said.get('content', {}).get('text', '')}"
