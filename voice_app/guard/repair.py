"""``voice-app check --fix``: removes the VOICE capture rules of what our TwiML names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

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

    async def make(self, configurations: Configurations, progress: Progress | None = None) -> Update:
        """Make the change, wait for it, and fetch the configuration again.

        Works on what is there now: the rules may have changed while somebody made up their mind. Raises
        `ApiError`.
        """
        now = await configurations.fetch(self.configuration.id)
        return await configurations.update(now.id, without_voice(now), progress=progress)


def repairs(snapshot: Snapshot) -> list[Repair]:
    """One for each configuration that our TwiML names and that captures voice."""
    return [Repair(item) for item in snapshot.in_use if captures(item, VOICE)]


def proven(update: Update) -> bool:
    """Whether the rules are gone, and everything else is as it was."""
    return not captures(update.after, VOICE) and not update.unexpected
