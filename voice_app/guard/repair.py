"""``voice-app check --fix``: removes the VOICE capture rules of what our TwiML names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_app.guard.matching import VOICE, captures, without_voice
from voice_app.guard.snapshot import Snapshot
from voice_app.twilio import Configuration, Configurations
from voice_app.twilio.configuration_edit import Difference, differences, merged
from voice_app.twilio.configurations import Update
from voice_app.twilio.operations import Progress


@dataclass(frozen=True, slots=True)
class Repair:
    """What has to change in one configuration."""

    configuration: Configuration

    @property
    def changes(self) -> list[Difference]:
        raw = self.configuration.raw
        return differences(raw, merged(raw, without_voice(self.configuration)))

    @property
    def rules(self) -> list[Any]:
        """The VOICE capture rules that go, as they are written."""
        return [capture.item for capture in captures(self.configuration, VOICE)]

    async def make(self, configurations: Configurations, progress: Progress | None = None) -> Update:
        """Make the change, wait for it, and fetch the configuration again.

        What somebody else has changed meanwhile stays.

        Raises:
            RulesChangedError: there are other rules now than those that were looked at. Nothing is written.
            ApiError: Twilio refused, or could not be asked.
        """

        def removal(now: Configuration) -> dict[str, Any]:
            fresh = Repair(now)
            if fresh.rules != self.rules:
                raise RulesChangedError(fresh)
            return without_voice(now)

        return await configurations.update(self.configuration.id, removal, progress=progress)


class RulesChangedError(Exception):
    """A capture rule came or went after somebody had agreed to the change. ``now`` is what there is now."""

    def __init__(self, now: Repair) -> None:
        super().__init__(f"the capture rules of {now.configuration.id} have changed meanwhile")
        self.now = now


def repairs(snapshot: Snapshot) -> list[Repair]:
    """One for each configuration that our TwiML names and that captures voice."""
    return [Repair(item) for item in snapshot.in_use if captures(item, VOICE)]


def proven(update: Update) -> bool:
    """Whether the rules are gone, and everything else is as it was."""
    return not captures(update.after, VOICE) and not update.unexpected
